"""
Decide, second by second, what the recorder gives up so that the app does not notice it.

Three bad seconds in a row shed one thing more, sixty good ones give one back.  What has to be shed again soon
after it was given back is given back later the next time, so that an app at the limit is not see-sawed.

In        what one second used: CPU of the process, CPU of the recorder's thread, requests, segments, memory
Out       a level; a sentence for each level, once
Not here  reading clocks and memory (sender.py), leaving out what the level says (core.py)
"""

from __future__ import annotations

NOTHING, DIGESTS, STACKS, SEGMENTS, EVERYTHING = range(5)
SHED = ("nothing", "digests", "stacks", "segments", "everything")

# What a request and a segment cost the app's own threads: docs/benchmarks/overhead.md, in process, rounded up.
REQUEST_CPU_S = 15e-6
SEGMENT_CPU_S = 13e-6
LINE_CPU_S = 6e-6
# A second is bad where the recorder takes both this share of the process's CPU and this much of a core: an app that
# idles has little CPU of which anything is a large share.
CPU_SHARE_MAX = 0.20
CPU_S_MIN = 0.05
MEMORY_BYTES_MAX = 32 * 1024 * 1024
BAD_S = 3
GOOD_S = 60
GOOD_S_MAX = 3_600


class Guard:
    """
    What was seen so far, and the level that follows from it; it reads nothing by itself.

    Attributes:
        level: NOTHING to EVERYTHING: what is shed, each with all before it.
    """

    __slots__ = ("_bad", "_good", "_patience_s", "_said", "level")

    def __init__(self) -> None:
        self.level = NOTHING
        self._bad = 0
        self._good = 0
        self._patience_s = GOOD_S
        self._said = NOTHING

    def judge(
        self,
        *,
        process_cpu_s: float,
        thread_cpu_s: float,
        requests: int,
        segments: int,
        memory_bytes: int,
        lines: int = 0,
    ) -> str | None:
        """
        Take one second into account; return what is to be said of it, None for nothing.

        Args:
            process_cpu_s: CPU of the whole process in this second, the recorder's included.
            thread_cpu_s: CPU of the recorder's own threads in this second.
            requests: How many were recorded in this second, counted at the app's cost.
            segments: Likewise; those not kept because they are shed do not count.
            memory_bytes: What the recorder holds now, by its own estimate.
            lines: How many were logged in this second, kept or not.
        """
        own_cpu_s = thread_cpu_s + requests * REQUEST_CPU_S + segments * SEGMENT_CPU_S + lines * LINE_CPU_S
        heavy = own_cpu_s > CPU_S_MIN and own_cpu_s > CPU_SHARE_MAX * process_cpu_s
        large = memory_bytes > MEMORY_BYTES_MAX
        if not heavy and not large:
            self._rest()
            return None
        self._good = 0
        self._bad += 1
        if self._bad < BAD_S or self.level == EVERYTHING:
            return None
        self._bad = 0
        self.level += 1
        if self.level <= self._said:
            # Given back too early.
            self._patience_s = min(2 * self._patience_s, GOOD_S_MAX)
            return None
        self._said = self.level
        share = f", {own_cpu_s / process_cpu_s:.0%} of the process's" if process_cpu_s > 0 else ""
        why = f"{own_cpu_s:.2f} s of CPU a second{share}" if heavy else f"{memory_bytes:,} bytes of memory"
        return f"rung sheds {SHED[self.level]}: it takes {why}"

    def _rest(self) -> None:
        self._bad = 0
        if self.level == NOTHING:
            return
        self._good += 1
        if self._good >= self._patience_s:
            self._good = 0
            self.level -= 1

"""
What a span through OpenTelemetry's API costs the app: with rung, with the SDK, with both, and with neither.

`python -m benchmarks.overhead.spans [--json] [--quick]`.  Each contender is a process that makes spans when it is told
to, in requests of a few; they take turns, so that whatever the machine does meanwhile happens to all of them.

In        --quick for fewer rounds, --json for a document
Out       CPU of the app's thread for a span: the median of the rounds, with quartiles, less an empty `with`
Not here  requests, segments and statements (parts.py, layouts.py); the exporter's own thread
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from benchmarks.overhead.report import seconds
from benchmarks.overhead.rounds import Spread, spread

SPANS = 20  # of a request
REQUESTS = 50  # of a round
ROUNDS, QUICK_ROUNDS = 200, 40

# name -> whether it records, whether the app has an SDK, whether that has a processor that exports
CONTENDERS = {
    "api": (False, False, False),
    "rung": (True, False, False),
    "sdk": (False, True, False),
    "sdk-export": (False, True, True),
    "sdk+rung": (True, True, False),
    "sdk-export+rung": (True, True, True),
}
SHAPES = {
    "a span": "with start('work'): pass",
    "with 2 attributes": "with start('work', attributes={'a': 1}) as span: span.set_attribute('b', 'text')",
    "as a decorator": "decorated()",
    "started and ended": "tracer.start_span('work').end()",
}
EMPTY = "with nothing: pass"

CHILD = """
import contextlib, os, sys, time
records, has_sdk, exports = (word == "1" for word in sys.argv[1:4])
if records:
    from rung.probe import core, imports
    imports.install()
from opentelemetry import trace
if has_sdk:
    from opentelemetry.sdk.trace import TracerProvider
    provider = TracerProvider()
    if exports:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
        class Nowhere(SpanExporter):
            def export(self, spans):
                return SpanExportResult.SUCCESS
        provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
tracer = trace.get_tracer("benchmark")
start = tracer.start_as_current_span
nothing = contextlib.nullcontext()

@start("work")
def decorated():
    pass

def rounds(shape):
    made = {}
    exec(f"def run(spans):\\n for _ in range(spans):\\n  {shape}", globals(), made)
    return made["run"]

def request(run, spans):
    if not records:
        begun_s = time.thread_time(); run(spans)
        return time.thread_time() - begun_s
    one = core.Request("GET")
    one.stepping, one.mark = True, time.perf_counter()
    token = core.current.set(core.Scope(one, one))
    begun_s = time.thread_time(); run(spans)
    took_s = time.thread_time() - begun_s
    core.current.reset(token)
    core.freeze(one)
    assert len(one.row[core.SEGMENTS]) == spans * core.SEGMENT_BYTES, core.state.failed_at
    return took_s

known = {}
for line in sys.stdin:
    requests, spans, shape = line.rstrip("\\n").split(" ", 2)
    run = known.get(shape) or known.setdefault(shape, rounds(shape))
    print(sum(request(run, int(spans)) for _ in range(int(requests))), flush=True)
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """
    CPU seconds that one span costs the thread that makes it.
    """

    contender: str
    shape: str
    rounds: int
    span_s: Spread


class Child:
    """
    A process that makes spans.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        flags = ["1" if flag else "0" for flag in CONTENDERS[name]]
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def took_s(self, shape: str) -> float:
        """
        Return the CPU seconds a span of one round.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{REQUESTS} {SPANS} {shape}\n")
        process.stdin.flush()
        return float(process.stdout.readline()) / REQUESTS / SPANS

    def end(self) -> None:
        """
        End it.
        """
        self._process.communicate()


@contextlib.contextmanager
def children() -> Iterator[list[Child]]:
    """
    Yield one process a contender.
    """
    started = [Child(name) for name in CONTENDERS]
    try:
        yield started
    finally:
        for child in started:
            child.end()


def measure(rounds: int) -> list[Cost]:
    """
    Return what each contender's span costs, in each shape.
    """
    costs: list[Cost] = []
    with children() as contenders:
        empty_s = statistics.median(contenders[0].took_s(EMPTY) for _ in range(rounds))
        for shape, code in SHAPES.items():
            took_s: dict[str, list[float]] = {child.name: [] for child in contenders}
            for _ in range(rounds):
                for child in contenders:
                    took_s[child.name].append(child.took_s(code))
            less_s = 0.0 if shape == "started and ended" else empty_s
            for name, values in took_s.items():
                costs.append(Cost(name, shape, rounds, spread([value - less_s for value in values])))
    return costs


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead.spans", description="What a span costs.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    costs = measure(QUICK_ROUNDS if given.quick else ROUNDS)
    if given.json:
        print(json.dumps({"benchmark": "spans", "costs": [asdict(cost) for cost in costs]}, indent=2))
        return
    print("| span | contender | CPU a span (quartiles) | times rung's |\n|---|---|--:|--:|")
    for shape in SHAPES:
        rung_s = next(cost.span_s.middle for cost in costs if (cost.shape, cost.contender) == (shape, "rung"))
        for cost in costs:
            if cost.shape == shape:
                value = cost.span_s
                shown = f"{seconds(value.middle)} ({seconds(value.low)} to {seconds(value.high)})"
                print(f"| {shape} | {cost.contender} | {shown} | {value.middle / rung_s:.1f} |")


if __name__ == "__main__":
    main()

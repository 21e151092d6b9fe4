"""
Say what was seen beside the requests of a bottleneck: the function that computes, the lock, what held the loop.

In        the Profile, a suspect and the route that the goal's number is of
Out       sentences with their figures; the line of code where it is known
Not here  the figures of the requests themselves (evidence.py), looking (probe/sampler.py, collector/looks.py)

Looks tell shares, so the number of them stands beside each share, and below LOOKS_MIN nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rung.steps.find.finding import Evidence, Suspect
from rung.steps.measure import CPU, Part, Profile
from rung.steps.measure.beside import Blocker, Computing
from rung.units import show_bytes, show_count, show_seconds, show_share

# The share of something that is half of it has a standard error of 11 % with 20 looks.
LOOKS_MIN = 20
# The database is looked at once a second only.
LOCK_LOOKS_MIN = 5
LOCK_SHARE_TOLD = 0.20
STATEMENT_SHOWN = 60
# An execution; less is written into the system's memory in no time.
SPILLED_BYTES_TOLD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Hot:
    """
    Where most of a route's computing was seen.

    Attributes:
        code: The user's line, "" where none was on the stack.
        function: The innermost function, "" where a line has no single one.
        looks: At this route, everywhere.
    """

    code: str
    function: str
    share: float
    looks: int


def hottest(computing: Iterable[Computing], route: str) -> Hot | None:
    """
    Return the line or function that was seen most for *route*; None with fewer than LOOKS_MIN looks.

    A loop of the user's own spreads over lines of one function; a call into a library (a template, a parser) over
    functions below one line.  Whichever gathers more of the looks is what to look at.
    """
    seen = [each for each in computing if each.route == route]
    looks = sum(each.looks for each in seen)
    if looks < LOOKS_MIN:
        return None
    lines, functions = Counter[str](), Counter[str]()
    for each in seen:
        functions[each.function] += each.looks
        if each.code:
            lines[each.code] += each.looks
    line, on_line = _most(lines)
    function, in_function = _most(functions)
    if on_line >= in_function:
        inside, times = _most(_looks_of((each.function, each.looks) for each in seen if each.code == line))
        return Hot(line, inside if 2 * times >= on_line else "", share=on_line / looks, looks=looks)
    code, _ = _most(_looks_of((each.code, each.looks) for each in seen if each.function == function))
    return Hot(code, function, share=in_function / looks, looks=looks)


def _looks_of(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    looks = Counter[str]()
    for name, times in pairs:
        looks[name] += times
    return looks


def _most(looks: Counter[str]) -> tuple[str, int]:
    return max(looks.items(), key=lambda item: (item[1], item[0]), default=("", 0))


def seen_of(profile: Profile, suspect: Suspect) -> tuple[Evidence, ...]:
    """
    Return what was seen beside the requests that bears on *suspect*.
    """
    told: list[Evidence | None] = []
    if suspect.part == CPU:
        told.append(_computing(profile, suspect.route))
    elif suspect.part.seam == "loop":
        told.append(_held(profile, suspect))
    elif suspect.part.seam == "query":
        told += [_locked(profile, suspect), _spilled(profile, suspect)]
    return tuple(each for each in told if each is not None)


def code_of(profile: Profile, suspect: Suspect) -> str:
    """
    Return the line of the user's code that is *suspect*, "" where nothing tells.
    """
    if suspect.part != CPU:
        return suspect.code
    hot = hottest(profile.beside.computing, suspect.route)
    return hot.code if hot is not None else ""


def _computing(profile: Profile, route: str) -> Evidence | None:
    hot = hottest(profile.beside.computing, route)
    if hot is None:
        return None
    file = hot.code.rpartition(":")[0].removesuffix(".py").replace("/", ".")
    # The user's own function, by its module; what a library is called with needs its whole name.
    if hot.code and f".{file}." in f".{hot.function}":
        where = f"{hot.code} {hot.function.rpartition('.')[2]}"
    elif hot.code:
        where = hot.code + (f" (in {hot.function})" if hot.function else "")
    else:
        where = hot.function
    return Evidence(
        "computing",
        f"computes in {where}: {show_share(hot.share)} of its computing, n = {show_count(hot.looks)} looks",
        {"share": hot.share, "looks": float(hot.looks)},
    )


def _held(profile: Profile, suspect: Suspect) -> Evidence | None:
    """
    Return which route held the event loop while others waited, and at which line it was seen; the twin's "loop" is all
    of that waiting, recorded or not.
    """
    segments = profile.segments
    loops = np.array([each.seam == "loop" and suspect.part in {each, Part("loop", "")} for each in profile.parts])
    if not loops.any():
        return None
    met = loops[segments.part]
    by_holder = np.bincount(segments.part[met], weights=segments.own_s[met], minlength=len(profile.parts))
    holder = profile.parts[int(by_holder.argmax())].name
    waited_s = float(segments.own_s[met].sum())
    by_line = np.bincount(segments.code[met], weights=segments.own_s[met], minlength=len(profile.codes))
    lines = {code: float(seconds_s) for code, seconds_s in zip(profile.codes, by_line, strict=True) if code}
    line = max(lines, key=lambda code: (lines[code], code), default="")
    share = lines.get(line, 0.0) / waited_s if waited_s else 0.0
    at = f", at {line} for {show_share(share)} of that time" if share else ", at a line that was not seen"
    requests = len(np.unique(segments.request[met]))
    return Evidence(
        "held",
        f"the event loop was held by {holder}{at}; {show_count(requests)} requests waited "
        f"{show_seconds(waited_s)} together",
        {"waited_s": waited_s, "requests": float(requests), "line_share": share},
    )


def _locked(profile: Profile, suspect: Suspect) -> Evidence | None:
    """
    Return how often the statement waited for a lock rather than executed, and who was in the way.
    """
    locked = profile.beside.locks.get(suspect.part.name)
    if locked is None or locked.looks < LOCK_LOOKS_MIN or locked.waiting <= LOCK_SHARE_TOLD * locked.looks:
        return None
    share = locked.waiting / locked.looks
    blocker = f", behind {_words(profile, locked.blockers[0])}" if locked.blockers else ""
    queue = f"; up to {show_count(locked.at_once)} connections waited at once" if locked.at_once > 1 else ""
    return Evidence(
        "lock",
        f"waits for a lock in {show_share(share)} of the looks at it (n = {show_count(locked.looks)}){blocker}{queue}",
        {"share": share, "looks": float(locked.looks), "at_once": float(locked.at_once)},
    )


def _words(profile: Profile, blocker: Blocker) -> str:
    who = whose(profile, blocker.holder, blocker.application)
    text = shown(blocker.text)
    if blocker.state.startswith("idle in transaction"):
        return "a transaction that is open and idle" + (f" after {text}" if text else "") + who
    return f"{text}{who}" if text else f"a connection of which nothing is known{who}"


def shown(text: str) -> str:
    """
    Return the beginning of a statement on one line.
    """
    line = " ".join(text.split())
    return line if len(line) <= STATEMENT_SHOWN else f"{line[: STATEMENT_SHOWN - 1]}…"


def whose(profile: Profile, statement: str, application: str) -> str:
    """
    Return which route runs a statement, or which program a connection that is none of the app's belongs to; "" where
    neither is known.
    """
    part = Part("query", statement)
    if statement and part in profile.parts:
        segments = profile.segments
        met = segments.request[segments.part == profile.parts.index(part)]
        by_route = np.bincount(profile.requests.route[met], minlength=len(profile.routes))
        return f" of {profile.routes[int(by_route.argmax())]}"
    return f" of {application}" if application else ""


def _spilled(profile: Profile, suspect: Suspect) -> Evidence | None:
    """
    Return what the statement sorts or hashes on disk.
    """
    counted = [each for each in profile.beside.executions if each.statement == suspect.part.name]
    calls, temporary_bytes = sum(each.calls for each in counted), sum(each.temporary_bytes for each in counted)
    if not calls or temporary_bytes < SPILLED_BYTES_TOLD * calls:
        return None
    each_bytes = temporary_bytes / calls
    return Evidence(
        "spill",
        f"sorts or hashes on disk: {show_bytes(each_bytes)} of temporary files an execution "
        f"(n = {show_count(calls)}); rung explain {suspect.part.name[:8]} --analyze tells the work_mem that it takes",
        {"temporary_bytes": each_bytes, "calls": float(calls)},
    )

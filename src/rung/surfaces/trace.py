"""
`rung trace`: what one request waited for and worked on, with its log lines, over all services that took part.

In        the flags: an id, or how to choose
Out       text or JSON; an exit status
Not here  choosing and gathering (steps/trace), drawing (waterfall.py)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from rung import wire
from rung.errors import BadValue, UnknownName, UsageError
from rung.loop import Loop
from rung.steps.trace.ids import DIGITS_MIN, looks_like_one
from rung.steps.trace.telling import timestamp
from rung.steps.trace.traced import Trace, Unit, together, traced
from rung.steps.trace.units import Index, named, slowest, units
from rung.surfaces.asked import recordings_asked
from rung.surfaces.shapes import document
from rung.surfaces.terminal import EXIT_ANSWERED, print_json, width
from rung.surfaces.text import labelled
from rung.surfaces.trace_shapes import trace_shape
from rung.surfaces.waterfall import LEGEND, WORKING, extent, printable, waterfall
from rung.units import show_count, show_seconds

AT_MOST = 100
NAMED_MAX = 4
SPENT_MAX = 5


@dataclass(frozen=True, slots=True)
class Source:
    """
    A recording, and what units of work are in it.
    """

    name: str
    index: Index


def trace(arguments: argparse.Namespace) -> int:
    """
    Choose, gather and print.
    """
    wire.require(*wire.TOOL_MODULES)
    asked = _asked(arguments)
    at_most = _count(arguments.slowest)
    work = wire.workplace({}, database=None, asks=False)
    names = recordings_asked(work, arguments)
    with work.loop() as loop:
        sources = [Source(name, loop.ask(units(), name)) for name in names]
        if asked is not None:
            chosen = _meant(loop, sources, asked)
        else:
            chosen = _slowest(sources, at_most, route=arguments.route, failed=arguments.failed)
        found = [_gathered(loop, sources, place) for place in chosen]
    if arguments.json:
        print_json(document("trace", {"traces": [trace_shape(each, names_) for each, names_ in found]}))
    elif found:
        print("\n\n".join(_text(each, names_) for each, names_ in found) + f"\n\n{_next(found[0][0])}")
    else:
        print(f"No request {'failed' if arguments.failed else 'was recorded'}.\n\n{labelled('Next', 'rung find')}")
    return EXIT_ANSWERED


def _asked(arguments: argparse.Namespace) -> str | None:
    if arguments.id is None:
        return None
    if arguments.slowest is not None or arguments.route or arguments.failed:
        raise UsageError(
            "an id names one trace, and needs no choosing",
            why="Nothing was looked for.",
            steps=(("Show that one", f"rung trace {arguments.id}"), ("Or the slowest", "rung trace --slowest")),
        )
    # As in a header, or with the dashes of a UUID.
    asked: str = arguments.id.lower().replace("-", "")
    if not looks_like_one(asked):
        raise BadValue("ID", arguments.id, expected=f"{DIGITS_MIN} to 32 hex digits of a trace's or a span's id")
    return asked


def _count(asked: str | None) -> int:
    if asked is None:
        return 1
    if not asked.isdecimal() or not 0 < int(asked) <= AT_MOST:
        raise BadValue("--slowest", asked, expected=f"a number from 1 to {AT_MOST}")
    return int(asked)


Chosen = tuple[int, int]  # which source, which unit of its


def _meant(loop: Loop, sources: Sequence[Source], asked: str) -> list[Chosen]:
    found: dict[str, Chosen] = {}
    for number, source in enumerate(sources):
        for place in loop.ask(named(source.index, asked), source.name):
            found.setdefault(source.index.trace[place], (number, place))
    if not found:
        known = [sources[number].index.trace[place] for number, place in _slowest(sources, NAMED_MAX)]
        where = ", ".join(source.name for source in sources)
        raise UnknownName("trace", asked, known=known or ["none"], where=where, see="rung trace --slowest")
    if len(found) > 1:
        some = list(found.items())[:NAMED_MAX]
        raise UsageError(
            f"{asked!r} could be {show_count(len(found))} traces",
            why="The first half of an id is that of the process where the trace began; the second half tells them "
            "apart, and is the id of the request's own span.",
            steps=tuple(
                (sources[number].index.routes[place], f"rung trace {trace_id}") for trace_id, (number, place) in some
            ),
        )
    return list(found.values())


def _slowest(
    sources: Sequence[Source], at_most: int, *, route: str | None = None, failed: bool = False
) -> list[Chosen]:
    found: list[tuple[float, Chosen]] = []
    for number, source in enumerate(sources):
        index = source.index
        latency_s = index.latency_s
        places = slowest(index, at_most=at_most, route=route, failed=failed)
        found += [(float(latency_s[place]), (number, place)) for place in places]
    if route is not None:
        routes = {name for source in sources for name in source.index.routes}
        plain = {str(name) for source in sources for name in source.index.columns["route"]}
        if route not in routes | plain:
            raise UnknownName("route", route, known=sorted(routes), where=sources[0].name, see="rung find")
    found.sort(key=lambda each: -each[0])
    first: dict[str, Chosen] = {}
    for _, (number, place) in found:
        # Two requests of one trace are shown with it, once.
        first.setdefault(sources[number].index.trace[place] or f"{number}/{place}", (number, place))
    return list(first.values())[:at_most]


def _gathered(loop: Loop, sources: Sequence[Source], chosen: Chosen) -> tuple[Trace, tuple[str, ...]]:
    number, place = chosen
    wanted = sources[number].index.trace[place]
    parts, names = [], []
    for each, source in enumerate(sources):
        if each == number:
            at = place
        elif wanted and wanted in source.index.trace:
            at = source.index.trace.index(wanted)
        else:
            continue
        parts.append(loop.ask(traced(source.index, at), source.name))
        names.append(source.name)
    return together(parts), tuple(names)


def _text(trace: Trace, names: tuple[str, ...]) -> str:
    began_s, lasted_s = extent(trace)
    many = "" if len(trace.units) == 1 else f"{show_count(len(trace.units))} units of work · "
    more = f"{show_count(trace.left_out)} more of them are left out" if trace.left_out else ""
    head = labelled(
        "Trace",
        trace.trace or "(recorded without ids)",
        f"{many}{show_seconds(lasted_s)} from {timestamp(began_s)} · {', '.join(names)}",
        more,
    )
    drawn = "\n".join(waterfall(trace, width()))
    return f"{head}\n\n{drawn}\n\n{_spent(_first(trace))}"


def _first(trace: Trace) -> Unit:
    return next((unit for unit in trace.units if unit.under is None), trace.units[0])


def _spent(unit: Unit) -> str:
    """
    Return what the time of *unit* went into, each instant once.
    """
    seconds: dict[str, float] = {}
    for span in unit.spans:
        seam = f"{span.seam} {span.name}".strip() if span.seam in WORKING else span.seam
        seconds[seam] = seconds.get(seam, 0.0) + span.own_s
    most = sorted(seconds.items(), key=lambda item: -item[1])
    told = [f"{seam} {show_seconds(spent_s)}" for seam, spent_s in most[:SPENT_MAX] if spent_s > 0]
    rest_s = sum(spent_s for _, spent_s in most[SPENT_MAX:])
    if rest_s > 0:
        told.append(f"other seams {show_seconds(rest_s)}")
    if unit.queue_s:
        told.insert(0, f"queue {show_seconds(unit.queue_s)}")
    told += [f"Python {show_seconds(unit.cpu_s)}", f"nobody recorded {show_seconds(unit.other_s)}"]
    name = f"{unit.method} {unit.route}".strip()
    return labelled("Spent", printable(f"{name}: {' · '.join(told)}"), LEGEND)


def _next(trace: Trace) -> str:
    by_name: dict[str, float] = {}
    for span in (span for unit in trace.units for span in unit.spans if span.statement):
        by_name[span.name] = by_name.get(span.name, 0.0) + span.own_s
    largest = sorted(by_name, key=lambda name: -by_name[name])[:1]
    lines = [f"rung explain {name[:8]}      (where that statement's time goes)" for name in largest]
    if trace.trace:
        lines.append(f"rung logs --trace {trace.trace}")
    return labelled("Next", *lines, "rung find      (whether it is what holds the app back)")

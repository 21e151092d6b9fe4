"""
`rung load`: progress while it runs, and what came of it at the end.

In        the command's flags
Out       a table by route, of a replay also what was left out; an exit status
Not here  sending, and what is sent (adapters/traffic)
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rung import wire
from rung.errors import BadValue, UsageError
from rung.surfaces.terminal import EXIT_ANSWERED, EXIT_CHECK_FAILED, EXIT_INTERRUPTED, print_json, width
from rung.units import show_count, show_seconds, show_share

if TYPE_CHECKING:
    from rung.adapters.traffic import Plan, Progress, Report, Tally
    from rung.adapters.traffic.replay import Replayed
    from rung.config import Settings

RATE_PER_S = 20.0
FOLLOWING = "rung find      (once the recorded app has been stopped: Ctrl-C)"


def load(arguments: argparse.Namespace) -> int:
    """
    Send the load that the flags ask for, and print its report.
    """
    wire.require("aiohttp", "numpy")
    from rung.adapters.traffic import origin_of, send

    plan, replayed, settings = asked(arguments, arguments.url, f"rung load {arguments.url}")
    has_paths = arguments.routes and not replayed
    line = ProgressLine(sys.stderr)
    report = send(origin_of(arguments.url) if has_paths else arguments.url, plan, progress=line.show)
    line.clear()
    if arguments.json:
        from rung.surfaces.document import document

        print_json(document("load", **load_content(report, replayed)))
    else:
        print(load_text(report, plan, replayed=replayed))
    if report.ended_early:
        return EXIT_INTERRUPTED
    failed = report.void or report.overall.errors > settings.goal_errors_share * max(report.overall.requests, 1)
    return EXIT_CHECK_FAILED if arguments.check and failed else EXIT_ANSWERED


def asked(arguments: argparse.Namespace, url: str, command: str) -> tuple[Plan, Replayed | None, Settings]:
    """
    Return the plan that the flags ask for, what a replay takes of a recording, and the settings in force.

    Args:
        url: Where a plan without a load file is to go.
        command: What was typed, to be shown with another flag.
    """
    _refuse_contradictions(arguments, command)
    settings = wire.settings_of(
        {
            "load.duration": arguments.duration,
            "load.seed": arguments.seed,
            "database.disposable": "true" if arguments.disposable else None,
        },
        folder=Path.cwd(),
    )
    if not arguments.replay:
        return _plan(arguments, settings, url), None, settings
    return *_replay(arguments, settings), settings


def _refuse_contradictions(arguments: argparse.Namespace, command: str) -> None:
    alone = next((flag for flag in ("speed", "disposable") if getattr(arguments, flag)), None)
    if alone is not None and not arguments.replay:
        raise UsageError(
            f"--{alone} goes with --replay",
            why="Nothing was sent.",
            steps=(("Replay a recording", f"{command} --replay RECORDING"),),
        )
    if arguments.replay and arguments.rate:
        raise UsageError(
            "--rate and --replay contradict each other: recorded arrivals have a rate",
            why="Nothing was sent.",
            steps=(("Make them faster", f"{command} --replay {arguments.replay} --speed 2"),),
        )


def _plan(arguments: argparse.Namespace, settings: Settings, url: str) -> Plan:
    from rung.adapters.traffic import plan_of_url, read_plan

    rate = _number("--rate", arguments.rate, "requests per second, such as 50")
    duration_s, seed = settings.load_duration_s, settings.load_seed
    if not arguments.routes:
        return plan_of_url(url, rate=rate or RATE_PER_S, duration_s=duration_s, seed=seed)
    plan = read_plan(arguments.routes, rate=rate, duration_s=duration_s, seed=seed)
    return _with_answers(plan, arguments, settings)


def _replay(arguments: argparse.Namespace, settings: Settings) -> tuple[Plan, Replayed]:
    wire.require(*wire.TOOL_MODULES)
    from rung.adapters.shelf import folder_of
    from rung.adapters.traffic import Template, read_template
    from rung.adapters.traffic.replay import read_arrivals, replay_plan

    speed = _number("--speed", arguments.speed, "a factor, such as 2")
    template = read_template(arguments.routes) if arguments.routes else Template()
    work = wire.workplace({}, database=None, asks=False)
    arrivals = read_arrivals(folder_of(work.data, work.recording(arguments.replay)))
    plan, replayed = replay_plan(
        arrivals,
        template,
        speed=speed or 1.0,
        writes=settings.database_disposable,
        # What rung.toml says of the length of other load says nothing of a replay.
        duration_s=settings.load_duration_s if arguments.duration else None,
        seed=settings.load_seed,
    )
    return _with_answers(plan, arguments, settings), replayed


def _with_answers(plan: Plan, arguments: argparse.Namespace, settings: Settings) -> Plan:
    from rung.adapters.traffic import Query

    if not any(isinstance(value, Query) for route in plan.routes for value in route.values.values()):
        return plan
    wire.require(*wire.TOOL_MODULES)
    from rung.adapters.traffic.values import answered

    database = wire.database_of(settings, arguments.database)
    return replace(plan, routes=answered(plan.routes, database, seed=plan.seed))


def _number(name: str, text: str | None, expected: str) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise BadValue(name, text, expected=expected)
    return value


class ProgressLine:
    """
    One line that is written over again on a terminal; elsewhere one line every ten seconds.
    """

    EVERY_S = 10.0

    def __init__(self, stream: Any) -> None:
        self.stream, self.terminal = stream, stream.isatty()
        self._width, self._told_s = 0, 0.0

    def show(self, progress: Progress, *, first: str = "") -> None:
        """
        Show how the run stands, behind *first*.
        """
        p95 = f" · p95 {show_seconds(progress.recent_p95_s)}" if progress.recent_p95_s is not None else ""
        errors = f" · {show_count(progress.errors)} errors" if progress.errors else ""
        line = (
            f"{first}{show_seconds(round(progress.elapsed_s))} · "
            f"{show_count(progress.sent)} of {show_count(progress.planned)} sent"
            f" · {progress.in_flight} in flight{p95}{errors}"
        )
        if self.terminal:
            # A line that wraps could not be written over.
            line = line[: width(self.stream) - 1]
            self.stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif progress.elapsed_s - self._told_s >= self.EVERY_S:
            self._told_s = progress.elapsed_s
            self.stream.write(line + "\n")
        self.stream.flush()

    def clear(self) -> None:
        """
        Take the line away, before something else is printed.
        """
        if self.terminal and self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self.stream.flush()


def load_text(
    report: Report, plan: Plan, *, replayed: Replayed | None = None, following: str | None = FOLLOWING
) -> str:
    """
    Return throughput, percentiles and errors by route.
    """
    from rung.surfaces.text import labelled, table

    rows: list[tuple[str, ...]] = [("route", "requests", "per s", "p50", "p95", "p99", "errors")]
    rows += [_row(tally) for tally in (*report.routes, report.overall)]
    lines = [table(rows), ""]
    if report.void:
        lines.append(labelled("Void", f"These numbers say nothing about the app: {report.void_reason}."))
    lines += [
        labelled("Problem", f"{show_count(count)} × {problem}") for problem, count in list(report.problems.items())[:5]
    ]
    if report.ended_early:
        lines.append(
            labelled(
                "Ended early",
                f"{show_count(report.overall.requests)} of {show_count(report.planned)} planned requests were sent.",
            )
        )
    of_what = f"at {plan.rate_per_s:g} requests/s" if replayed is None else _replay_words(replayed)
    late = show_share(report.overall.late_share)
    lines.append(labelled("Sent", f"{show_seconds(report.lasted_s)} {of_what}, seed {plan.seed}; late starts {late}"))
    if replayed is not None and replayed.left_out:
        words = [f"{show_count(each.requests)} {each.why}" for each in replayed.left_out]
        lines.append(labelled("Left out", "; ".join(words) + "."))
    if following is not None:
        lines.append(labelled("Next", following))
    return "\n".join(lines)


def _replay_words(replayed: Replayed) -> str:
    speed = f" at {replayed.speed:g} times its speed" if replayed.speed != 1 else ""
    sessions = f", {show_count(replayed.sessions)} sessions" if replayed.sessions else ""
    return f"of {replayed.recording}{speed}{sessions}"


def _row(tally: Tally) -> tuple[str, ...]:
    times = [show_seconds(value) if value is not None else "–" for value in (tally.p50_s, tally.p95_s, tally.p99_s)]
    errors = show_count(tally.errors) + (f" (+{show_count(tally.client_errors)} 4xx)" if tally.client_errors else "")
    return (tally.name, show_count(tally.requests), f"{tally.throughput_per_s:.1f}", *times, errors)


def load_content(report: Report, replayed: Replayed | None = None) -> dict[str, Any]:
    """
    Return the report as LoadDocument has it.
    """
    return {
        "overall": _tally_shape(report.overall),
        "routes": [_tally_shape(tally) for tally in report.routes],
        "void": report.void,
        "void_reason": report.void_reason,
        "lasted_s": report.lasted_s,
        "ended_early": report.ended_early,
        "replayed": _replayed_shape(replayed) if replayed is not None else None,
    }


def _replayed_shape(replayed: Replayed) -> dict[str, Any]:
    return {
        "recording": replayed.recording,
        "speed": replayed.speed,
        "sessions": replayed.sessions,
        "left_out": [{"requests": each.requests, "why": each.why} for each in replayed.left_out],
    }


def _tally_shape(tally: Tally) -> dict[str, Any]:
    return {
        "route": tally.name,
        "n": tally.requests,
        "throughput_per_s": tally.throughput_per_s,
        "p50_s": tally.p50_s,
        "p95_s": tally.p95_s,
        "p99_s": tally.p99_s,
        "errors": tally.errors,
        "client_errors": tally.client_errors,
        "late_share": tally.late_share,
    }

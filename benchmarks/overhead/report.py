"""
The benchmark's figures as tables in Markdown.

In        Cost, Throughput, Part, Memory, Sent, Kept
Out       text
Not here  measuring (rounds.py, parts.py, weight.py), what the figures mean (docs/benchmarks/overhead.md)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.overhead.parts import Part
from benchmarks.overhead.processes import Kept
from benchmarks.overhead.rounds import Cost, Spread, Throughput
from benchmarks.overhead.weight import Memory, Sent
from rung.units import show_bytes, show_count, show_seconds


def costs(layout: str, rows: Sequence[Cost]) -> str:
    """
    Return CPU per request.
    """
    lines = [
        f"CPU per request, {layout}",
        "",
        (
            "| contender | statements | bare | added to bare (quartiles) | of it in the app's thread "
            "| capacity taken (quartiles) | requests/s of each | rounds | requests | kept per request |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for cost in rows:
        kept = "–" if cost.kept_per_request is None else f"{cost.kept_per_request:.1f}"
        thread = "–" if cost.thread_s is None else seconds(cost.thread_s.middle)
        lines.append(
            f"| {cost.contender} | {cost.statements} | {show_seconds(cost.bare_s.middle)} | {_seconds(cost.added_s)} "
            f"| {thread} | {_shares(cost.share)} | {cost.rate_per_s:.0f} | {cost.rounds} | {show_count(cost.requests)} "
            f"| {kept} |"
        )
    return "\n".join(lines + [f"\n{said}" for said in comparisons(rows)])


def comparisons(rows: Sequence[Cost]) -> list[str]:
    """
    Return how many times rung's added CPU OpenTelemetry adds.
    """
    return [
        f"OpenTelemetry adds {times:.1f} times what rung adds, with {statements} statements."
        for statements, times in against_otel(rows).items()
    ]


def against_otel(rows: Sequence[Cost]) -> dict[int, float]:
    """
    Return how many times rung's added CPU OpenTelemetry adds, for each number of statements.
    """
    added_s = {(cost.contender, cost.statements): cost.added_s.middle for cost in rows}
    return {
        statements: added_s["otel", statements] / rung_s
        for (name, statements), rung_s in added_s.items()
        if name == "rung" and rung_s > 0 and ("otel", statements) in added_s
    }


def standing(shares: Mapping[str, float]) -> str:
    """
    Return what each takes while nobody asks.
    """
    said = ", ".join(f"{name} {seconds(share)}" for name, share in shares.items())
    return f"CPU a second while nobody asks anything: {said}."


def throughputs(layout: str, connections: int, rows: Sequence[Throughput]) -> str:
    """
    Return requests per second.
    """
    lines = [
        f"Requests/s, {layout}, {connections} connections, each asking again as soon as it is answered",
        "",
        "| contender | statements | requests/s (quartiles) | change to bare (quartiles) |",
        "|---|--:|--:|--:|",
    ]
    for row in rows:
        rates = f"{row.per_s.middle:,.0f} ({row.per_s.low:,.0f} to {row.per_s.high:,.0f})"
        change = "–" if row.contender == "bare" else _shares(row.change)
        lines.append(f"| {row.contender} | {row.statements} | {rates} | {change} |")
    return "\n".join(lines)


def parts(rows: Sequence[Part]) -> str:
    """
    Return what each part costs.
    """
    lines = [
        "CPU of each part, in process, stubs for drivers",
        "",
        "| part | where | the app's thread (quartiles) | all threads | rounds |",
        "|---|---|--:|--:|--:|",
    ]
    lines += [
        f"| {part.name} | {part.place} | {_seconds(part.thread_s)} | {seconds(part.process_s)} | {part.rounds} |"
        for part in rows
    ]
    return "\n".join(lines)


def weight(memory: Memory | None, sent: Sequence[Sent], kept: Sequence[Kept]) -> str:
    """
    Return memory and bytes sent, and whether everything was recorded.
    """
    lines = []
    if memory is not None:
        begun_bytes = memory.rung_begun_bytes - memory.bare_begun_bytes
        lines.append(
            f"After {show_count(memory.requests)} requests with {memory.statements} statements the recorded worker "
            f"has {show_bytes(memory.rung_bytes)}, the bare one {show_bytes(memory.bare_bytes)}: "
            f"{_bytes(memory.added_bytes)} more ({_bytes(begun_bytes)} before the first request).\n"
        )
    lines += [
        f"On the socket {show_bytes(row.bytes_per_request)} a request, {row.app}, {row.statements} statements."
        for row in sent
    ]
    asked, recorded = sum(row.asked for row in kept), sum(row.requests for row in kept)
    if kept:
        lines.append(f"\nOf {show_count(asked)} requests to workers that record, {show_count(recorded)} are recorded.")
    return "\n".join(lines)


def seconds(value_s: float) -> str:
    """
    Return seconds, also less than none.
    """
    if abs(value_s) < 1e-9:
        return "0 s"
    shown = f"{abs(value_s) * 1e9:.0f} ns" if abs(value_s) < 1e-6 else show_seconds(abs(value_s))
    return f"{'−' if value_s < 0 else ''}{shown}"


def _seconds(value: Spread) -> str:
    return f"{seconds(value.middle)} ({seconds(value.low)} to {seconds(value.high)})"


def _shares(value: Spread) -> str:
    return f"{_share(value.middle)} ({_share(value.low)} to {_share(value.high)})"


def _share(value: float) -> str:
    return f"{value:+.1%}".replace("-", "−").replace("%", " %")


def _bytes(value_bytes: float) -> str:
    return f"{'−' if value_bytes < 0 else ''}{show_bytes(abs(value_bytes))}"

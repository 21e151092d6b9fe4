"""
Any trace can be drawn, however odd: each row in its width, each unit and line once.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.steps.trace.telling import Logged, level_of, severity_number, told
from rung.steps.trace.traced import LogLine, Span, Trace, Unit, together
from rung.surfaces.trace import _text
from rung.surfaces.trace_shapes import trace_shape
from rung.surfaces.waterfall import ROWS_MAX, extent, rows, waterfall

WORDS = ("", "GET", "/orders/{id}", "SELECT * FROM a WHERE b = $1", "\x1b[2J", "two\nlines", "ü" * 90, "\ud800")
SECONDS_S = (0.0, 1e-9, 1e-6, 0.3, 1.0, 7.25, 1e4)


def odd_trace(seed: int) -> Trace:
    """
    Return a trace that no recorder writes: segments within each other, units that call themselves, times all over.
    """
    draw = random.Random(seed)
    word, time_s = (lambda: draw.choice(WORDS)), (lambda: draw.choice(SECONDS_S))
    number = lambda: draw.randint(-1, 6)  # noqa: E731 - as the two above
    units = []
    for place in range(draw.randint(1, 5)):
        spans = tuple(
            Span(number(), number(), draw.choice(["query", "cpu", ""]), word(), word(), word(), word(), time_s(),
                 time_s(), time_s(), draw.choice([1, 1, 3_000]), number(), word())
            for _ in range(draw.randint(0, 8))
        )  # fmt: skip
        lines = tuple(
            LogLine(time_s() - 1.0, number(), draw.randint(0, 99), word(), draw.choice([None, *WORDS]), word(), word())
            for _ in range(draw.randint(0, 6))
        )
        units.append(unit(
            who=f"who{place}", kind=draw.choice(["request", "background", "job"]), route=word(), method=word(),
            status=draw.randint(0, 999), arrived_s=draw.choice([1.7e9, 1.7e9 + time_s()]),
            queue_s=draw.choice([None, time_s()]), duration_s=time_s(), span=draw.choice("abc "),
            caller=draw.choice("abcd "), error=word(), spans=spans, lines=lines,
        ))  # fmt: skip
    return together([Trace("ab" * 16, tuple(units))])


SEEDS = st.integers(0, 2**32)


@given(seed=SEEDS, columns=st.integers(60, 110))
def test_any_trace_can_be_drawn(seed: int, columns: int) -> None:
    trace = odd_trace(seed)
    drawn = waterfall(trace, columns)
    assert all(len(line) <= columns for line in drawn)
    assert all(line.isprintable() for line in drawn)
    assert _text(trace, ("recording",))
    assert trace_shape(trace, ("recording",))["units"]


@given(seed=SEEDS)
def test_each_unit_and_each_line_is_drawn_once(seed: int) -> None:
    trace = odd_trace(seed)
    drawn = list(rows(trace, extent(trace)[0]))
    for each in trace.units:
        assert 1 == sum(each.who in row.more for row in drawn)
    lines = sum(len(row.marks) for row in drawn if row.text.startswith("◆ "))
    assert sum(len(each.lines) for each in trace.units) == lines


def unit(**changed: object) -> Unit:
    plain = Unit(
        who="h/i/1", request=1, kind="request", route="/", method="GET", status=200, arrived_s=100.0, queue_s=None,
        duration_s=1.0, cpu_s=0.1, other_s=0.0, cancelled=False, error="", exemplar=False, span="a", caller="",
        spans=(), lines=(),
    )  # fmt: skip
    return replace(plain, **changed)  # type: ignore[arg-type]


def span(segment: int, **changed: object) -> Span:
    plain = Span(segment, -1, "query", "f" * 16, "SELECT 1", "a.py:1", "d", 0.1, 0.1, 0.1, 1, 1, "")
    return replace(plain, **changed)  # type: ignore[arg-type]


def test_what_is_alike_and_holds_nothing_goes_together() -> None:
    line = LogLine(0.5, 2, 20, "shop", "in the third", "a.py:2", "")
    spans = tuple(span(number, start_s=0.1 * number) for number in range(5))
    drawn = waterfall(Trace("", (unit(spans=spans, lines=(line,)),)), 110)
    assert ["GET / 200", "  query SELECT 1  ×4", "  query SELECT 1  a.py:1", "    ◆ INFO shop: in the third"] == [
        text for text, row in zip(
            ["GET / 200", "  query SELECT 1  ×4", "  query SELECT 1  a.py:1", "    ◆ INFO shop: in the third"],
            drawn, strict=True,
        ) if row.startswith(text)
    ]  # fmt: skip


def test_units_that_call_each_other_in_a_ring_are_drawn() -> None:
    ring = together([Trace("", (unit(span="a", caller="b"), unit(span="b", caller="a", arrived_s=101.0)))])
    assert 2 == sum(line.startswith(("GET / 200", "  GET / 200")) for line in waterfall(ring, 80))


def test_a_long_trace_is_cut_and_says_so() -> None:
    spans = tuple(span(number, name=f"{number:016x}") for number in range(ROWS_MAX + 30))
    assert "… and 31 more rows" == waterfall(Trace("", (unit(spans=spans),)), 110)[-1]


LOGGED = Logged("h", "i", 7, 5, 3, -1, 1_800_000_000.0, 20, "shop", "user %s", "a.py:4", "ValueError a.py:2",
                "request", "/orders", "GET")  # fmt: skip


def test_a_line_is_told_in_opentelemetrys_names() -> None:
    assert {
        "timestamp": "2027-01-15T08:00:00.000000Z", "severity_text": "INFO", "severity_number": 9, "body": "user %s",
        "otel.scope.name": "shop", "code.file.path": "a.py", "code.line.number": 4, "exception.type": "ValueError",
        "rung.exception.line": "a.py:2", "http.route": "/orders", "http.request.method": "GET", "host.name": "h",
        "service.instance.id": "i", "process.pid": 7,
    } == {name: value for name, value in told(LOGGED).items() if not name.endswith("_id")}  # fmt: skip
    assert {32, 16} == {len(told(LOGGED)["trace_id"]), len(told(LOGGED)["span_id"])}
    assert "trace_id" not in told(replace(LOGGED, request=-1))
    assert None is told(replace(LOGGED, template=None))["body"]


@given(level=st.integers(-10, 40_000))
def test_severities_ascend_within_their_range(level: int) -> None:
    assert 0 <= severity_number(level) <= severity_number(level + 1) <= 24


@pytest.mark.parametrize(("text", "level"), [("debug", 10), ("Warn", 30), ("FATAL", 50), ("35", 35)])
def test_levels_by_name_and_number(text: str, level: int) -> None:
    assert level == level_of(text)

"""
What a person reads of one request and of the log, and what is said where there is nothing to show.

In        a small recording, written by the collector from frames that are made here
Out       a failure shows the difference
Not here  traces of real services (tests/probe/test_traced.py), odd ones (tests/steps/trace)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rung import frames
from rung.adapters.collector.pieces import Pieces
from rung.adapters.collector.pieces import Place as Where
from rung.probe import core
from rung.surfaces.cli import main
from rung.trace_context import trace_of
from tests.probe import rows
from tests.scenarios.shapes import misfits

KEY = 0x4BF92F3577B34DA6
AT_S = 1_800_000_000.0
PLACES = [
    frames.Place(0, "pool", "", "h:1/d", "shop/orders.py:44"),
    frames.Place(1, "query", "f" * 16, "h:1/d", "shop/orders.py:48"),
    frames.Place(2, "cpu", "render", None, "shop/page.html:3"),
]
TEXT = "SELECT orders.id, orders.note FROM orders WHERE orders.customer_id = $1"


def _line(at_s: float, request: int | None, segment: int | None, level: int, template: str | None, **more: Any) -> Any:
    return frames.Line(AT_S + at_s, request, segment, level, "shop.orders", template, "shop/orders.py:47", **more)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / ".rung" / "recordings" / "2027-01-15T08-00-00Z-shop"
    folder.mkdir(parents=True)
    packed = [
        core.pack(0, -1, 0, 0.010, 0.020, 1, -1), core.pack(1, -1, 1, 0.040, 0.250, 1, 18),
        core.pack(2, -1, 1, 0.290, 0.060, 1, 2), core.pack(3, -1, 2, 0.360, 0.030, 1, -1),
    ]  # fmt: skip
    slow: dict[str, Any] = {"route": "/customers/{id}/orders", "arrived_s": AT_S, "queue_s": 0.1, "duration_s": 0.4}
    requests = [
        frames.Request(**{**rows.PLAIN, "request": 1, **slow, "cpu_s": 0.02, "segments": b"".join(packed)}),
        frames.Request(**{
            **rows.PLAIN, "request": 2, "route": "/", "arrived_s": AT_S + 1, "duration_s": 0.005, "status": 500,
            "error": "KeyError shop/home.py:3", "cpu_s": 0.001,
        }),
    ]  # fmt: skip
    lines = [
        _line(0.035, 1, None, 20, "orders of customer %s"), _line(0.2, 1, 1, 30, None),
        _line(0.395, 1, None, 40, "gave up", error="ValueError shop/orders.py:51"), _line(2.0, None, None, 20, "idle"),
    ]  # fmt: skip
    pieces = Pieces(Where(folder, "shop"), say=lambda _: None, on_sealed=lambda _: None)
    sender = pieces.hello(frames.Hello(frames.FORMAT, "0", "host", "i1", 41, "3.11", {}, 1.0, KEY), None)
    statement = frames.Statement("h:1/d", "f" * 16, TEXT, "read")
    counts = {"dropped": 0, "lines_dropped": 3}
    pieces.batch(sender, frames.Batch(requests, [statement], PLACES, [], [], [], counts, {}, lines))
    pieces.end()
    return tmp_path


TRACE = f"{trace_of(KEY, 1):032x}"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert status == main(arguments)
    told = capsys.readouterr()
    return told.err if status else told.out


def test_the_slowest_request(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "trace")
    rows_shown = [line.partition("│")[0].split() for line in shown.splitlines() if "│" in line]
    assert [
        "GET /customers/{id}/orders 200 host/i1/41 400 ms",
        "queue before the app took it 100 ms",
        "pool shop/orders.py:44 20 ms",
        "◆ INFO shop.orders: orders of customer %s +135 ms",
        "query SELECT … FROM orders WHERE customer_id = $1 250 ms",
        "◆ WARNING shop.orders: (text not kept) +300 ms",
        "query SELECT … FROM orders WHERE customer_id = $1 60 ms",
        "cpu render shop/page.html:3 30 ms",
        "◆ ERROR shop.orders: gave up +495 ms",
    ] == [" ".join(words) for words in rows_shown]
    assert f"Trace       {TRACE}\n            500 ms from 2027-01-15T07:59:59.900000Z" in shown
    assert "shop/orders.py:48 · 18 rows · [ffffffff]" in shown
    assert "ValueError shop/orders.py:51 · shop/orders.py:47" in shown
    spent = " ".join(shown.partition("Spent")[2].split())
    for part in ("queue 100 ms", "query 310 ms", "cpu render 30 ms", "pool 20 ms", "Python 20 ms", "recorded 20 ms"):
        assert part in spent
    assert shown.endswith("rung find      (whether it is what holds the app back)\n")
    assert "rung explain ffffffff" in shown
    assert f"rung logs --trace {TRACE}" in shown


def test_bars_stand_at_their_time(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = [line.split("│")[1] for line in printed(capsys, "trace").splitlines() if "│" in line]
    per_s = len(bars[0]) / 0.5
    head, queue, pool, _, query, *_ = bars
    assert (0, round(0.1 * per_s)) == (queue.index("▒"), queue.count("▒"))
    assert int(0.11 * per_s) == pool.index("▒")
    assert int(0.14 * per_s) == query.index("▒")
    assert round(0.1 * per_s) == len(head) - len(head.lstrip())
    assert 0.25 * per_s - 1 <= query.count("▒") <= 0.25 * per_s + 1


@pytest.mark.parametrize(
    "choice", [["--failed"], ["--route", "GET /"], ["--route", "/"], ["--slowest", "1", "--failed"]]
)
def test_a_request_is_chosen(place: Path, capsys: pytest.CaptureFixture[str], choice: list[str]) -> None:
    shown = printed(capsys, "trace", *choice)
    assert "GET / 500  KeyError shop/home.py:3 · host/i1/41" in shown
    assert "GET /customers" not in shown


def test_several_are_shown_one_after_the_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "trace", "--slowest", "9")
    assert 2 == shown.count("Trace    ") == shown.count("Spent    ")
    assert shown.index("GET /customers") < shown.index("GET / 500")


def test_the_document_has_the_shape_that_it_says(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(capsys, "trace", TRACE, "--json"))
    assert [] == misfits(document, "trace")
    (unit,) = document["traces"][0]["units"]
    total_s = unit["cpu_s"] + unit["other_s"] + sum(span["own_s"] for span in unit["spans"])
    assert pytest.approx(unit["duration_s"]) == total_s


def test_the_log_as_json_lines_and_for_people(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["logs"])
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert ["orders of customer %s", None, "gave up", "idle"] == [line["body"] for line in lines]
    assert [TRACE, TRACE, TRACE, None] == [line.get("trace_id") for line in lines]
    assert "rung: 3 more lines were not kept" in told.err
    assert ["gave up"] == [
        json.loads(line)["body"] for line in printed(capsys, "logs", "--level", "error").splitlines()
    ]
    assert 3 == len(printed(capsys, "logs", "--trace", TRACE[:9]).splitlines())
    assert 3 == len(printed(capsys, "logs", "--route", "GET /customers/{id}/orders").splitlines())
    text = printed(capsys, "logs", "--text").splitlines()
    assert text[2].startswith(
        "2027-01-15T08:00:00.395000Z  ERROR     shop.orders  gave up  ValueError shop/orders.py:51"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trace", "abc"], "ID cannot be 'abc'; it takes 6 to 32 hex digits"),
        (["trace", "abcdef12"], "unknown trace 'abcdef12'"),
        (["trace", "abcdef12", "--failed"], "an id names one trace, and needs no choosing"),
        (["trace", f"{KEY:016x}"], "could be 2 traces"),
        (["trace", "--slowest", "0"], "--slowest cannot be '0'"),
        (["trace", "--route", "/none"], "unknown route '/none'"),
        (["trace", "--recording", "none"], "found no recording 'none'"),
        (["logs", "--level", "loud"], "--level cannot be 'loud'"),
        (["logs", "--trace", "xyz"], "--trace cannot be 'xyz'"),
    ],
)
def test_what_is_refused(place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert said in printed(capsys, *arguments, status=2)


def test_a_recording_of_an_older_rung_has_no_ids_and_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (recording,) = (Path(__file__).parent / "n_plus_one" / "recordings").iterdir()
    shown = printed(capsys, "trace", "--recording", str(recording))
    assert "(recorded without ids)" in shown
    assert "rung logs" not in shown
    assert "×" in shown
    assert "" == printed(capsys, "logs", "--recording", str(recording))

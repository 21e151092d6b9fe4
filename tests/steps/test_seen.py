"""
What was seen beside the requests is told where it bears on the bottleneck, with how often it was looked at.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.recordings import ParquetRecording
from rung.ports import RecordingFacts
from rung.steps.find import find
from rung.steps.find.finding import Finding, Interval, Suspect
from rung.steps.find.notes import doubts_on, notes_on
from rung.steps.find.seen import hottest, seen_of
from rung.steps.measure import Part, Profile, measure
from rung.steps.measure.beside import Beside, Blocker, Computing, Locked, Machine, Unfinished
from rung.steps.twin.twin import Twin
from tests import tables
from tests.strategies import (
    FAST,
    GOAL,
    HOME,
    ORDERS,
    SLOW,
    WHO,
    Row,
    Segment,
    answered,
    keep_recording,
    profile,
    shop,
)

NAMED = dict(zip(("host", "instance", "worker"), WHO, strict=True))
RENDER = "shop.pages.render_home"


def told(made: Profile, what: str) -> str:
    finding: Finding = answered(find(made, Twin(made), GOAL))
    return next((evidence.text for evidence in finding.evidence if evidence.what == what), "")


def busy(*computing: Computing, code: str = "") -> Profile:
    made = profile([Row(n * 0.1, 0.1, route=HOME, cpu_s=0.1) for n in range(100)])
    return replace(made, beside=Beside(computing=computing))


def test_a_function_is_named_with_its_line_and_the_number_of_looks() -> None:
    """
    A loop of the user's own spreads over lines: the function gathers them, and its most frequent line is named.
    """
    looks = [
        Computing(HOME, "shop/pages.py:91", RENDER, 40),
        Computing(HOME, "shop/pages.py:94", RENDER, 22),
        Computing(HOME, "shop/app.py:3", "shop.app.timed", 38),
        Computing(ORDERS, "shop/orders.py:9", "shop.orders.page", 500),
    ]
    made = busy(*looks)

    assert "computes in shop/pages.py:91 render_home: 62 % of its computing, n = 100 looks" == told(made, "computing")
    finding: Finding = answered(find(made, Twin(made), GOAL))
    assert finding.bottleneck is not None
    assert "shop/pages.py:91" == finding.bottleneck.code


def test_a_line_is_named_where_it_calls_into_many_functions() -> None:
    """
    A template is a hundred functions of a library below one line of the user's.
    """
    looks = [Computing(HOME, "shop/pages.py:12", f"jinja2.f{number}", 3) for number in range(10)]
    looks.append(Computing(HOME, "shop/app.py:3", "shop.app.timed", 10))

    assert "computes in shop/pages.py:12: 75 % of its computing, n = 40 looks" == told(busy(*looks), "computing")


def test_a_function_is_named_where_no_line_is_the_users() -> None:
    looks = [Computing(HOME, "", "asyncio.sslproto.feed", 30), Computing(HOME, "a.py:1", "a.f", 10)]

    assert told(busy(*looks), "computing").startswith("computes in asyncio.sslproto.feed: 75 %")


def test_few_looks_tell_nothing() -> None:
    """
    Nineteen looks are not enough, twenty are.
    """
    assert hottest([Computing(HOME, "a.py:1", "a.f", 19)], HOME) is None
    assert hottest([Computing(HOME, "a.py:1", "a.f", 20)], HOME) is not None
    assert "" == told(busy(Computing(HOME, "a.py:1", "a.f", 19)), "computing")


def test_what_held_the_loop_is_told_with_its_line() -> None:
    waits = [
        Row(n * 0.2, 0.1, (Segment("loop", 0.01, 0.08, "/report", code="r.py:7" if n % 4 else ""),), HOME)
        for n in range(80)
    ]

    text = told(profile(waits), "held")
    assert "the event loop was held by /report, at r.py:7 for 75 % of that time; 80 requests waited 6.4 s" in text


@pytest.mark.parametrize(("segments", "holder"), [(("/report", "/report", "/home"), "/report"), ((), "")])
def test_the_loop_as_a_whole_is_told_by_who_held_it_most(segments: tuple[str, ...], holder: str) -> None:
    """
    The simulation knows the loop and not its holders; waiting for it may be in no segment at all.
    """
    waits = [Row(n * 0.2, 0.1, tuple(Segment("loop", 0.02 * at, 0.01, name) for at, name in enumerate(segments)), HOME)
             for n in range(80)]  # fmt: skip
    made = profile(waits)
    suspect = Suspect(
        part=Part("loop", ""), route=HOME, statement="", code="", without_s=Interval(0.1, 0.1, 0.1), gain_s=0.0,
        stability=1.0, why_not="",
    )  # fmt: skip
    texts = [each.text for each in seen_of(made, suspect)]

    assert (f"the event loop was held by {holder}" in " ".join(texts)) == bool(holder)
    assert len(texts) == bool(holder)


def test_a_statement_that_waits_for_a_lock_says_behind_whom() -> None:
    """
    Only where more than a fifth of enough looks met it waiting.
    """
    half = "waits for a lock in 50 % of the looks at it (n = 60)"
    idle = Blocker("UPDATE stock SET n = $1", "idle in transaction", 30)
    for looks, waiting, blockers, said in (
        (60, 30, (idle,), f"{half}, behind a transaction that is open and idle after UPDATE stock SET n = $1"),
        (60, 30, (Blocker("DELETE FROM stock", "active", 3), idle), f"{half}, behind DELETE FROM stock"),
        (60, 30, (), half),
        (60, 12, (idle,), ""),
        (4, 4, (idle,), ""),
    ):  # fmt: skip
        made = replace(profile(shop()), beside=Beside(locks={SLOW: Locked(looks, waiting, blockers)}))
        assert said == told(made, "lock")


def test_what_else_took_the_processor_makes_the_numbers_doubtful() -> None:
    """
    Above a fifth for load and collector each, above 3 % for other guests of the machine, and not in a glimpse.
    """
    for machine, doubts in (
        (Machine("h", 60.0, 0.20, 0.20, 0.03), 0),
        (Machine("h", 60.0, 0.21, 0.20, 0.03), 1),
        (Machine("h", 60.0, 0.20, 0.21, 0.04), 2),
        (Machine("h", 2.0, 0.90, 0.90, 0.90), 0),
    ):
        made = replace(profile(shop()), beside=Beside(machines=(machine,)))
        assert doubts == len(doubts_on(made))
        assert bool(doubts) == any("not to be trusted" in note for note in notes_on(made, GOAL, ()))


def test_nothing_is_noted_where_all_is_well() -> None:
    assert () == notes_on(profile(shop(), processes=2), GOAL, ())


def test_the_recorders_own_troubles_are_noted_briefly() -> None:
    """
    The worst that was given up, the place that failed most, libraries of strange versions, requests that never ended.
    """
    facts = RecordingFacts(
        "r", sealed=True, processes=1, dropped=1, failures=3, failed_at=(("KeyError at keep:1", 2), ("x at y:2", 1)),
        shed=("sheds digests: it takes much", "sheds everything: it takes more"), websockets=1,
        libraries=(("fastapi", "0.165.0"), ("flask", "9.1")),
    )  # fmt: skip
    places = tuple(Unfinished(HOME, f"a.py:{line}", "", 5 - line, 9.0) for line in range(4))
    made = replace(profile(shop()), facts=facts, beside=Beside(unfinished=places))

    notes = notes_on(made, GOAL, ())
    assert "1 request (0.2 %) dropped and missing here: the recorder had switched itself off, or what was" in notes[0]
    assert notes[1:-1] == (
        "The recorder sheds everything: it takes more.",
        "3 errors inside the recorder, most often KeyError at keep:1; the app was not touched by them.",
        "rung was not tested with flask 9.1 (tested: 3.1): some of it may be missing here.",
        "1 WebSocket passed on, not recorded.",
    )
    assert "14 requests had not ended at the end: 5 × GET /home at a.py:0, 9 s old; 4 × GET" in notes[-1]
    assert notes[-1].endswith("; and 5 more.")


@pytest.fixture
def recorded(tmp_path: Path) -> Any:
    """
    Measure a recording of two requests, with the given rows of other tables.
    """

    def measured(**beside: list[tuple[Any, ...]]) -> Profile:
        rows = [Row(0.0, 1.0, route=ORDERS), Row(2.0, 8.0, route=HOME)]
        keep_recording(tmp_path / "kept", rows, **beside)
        recording = ParquetRecording(tmp_path / "kept")
        made: Profile = answered(measure(), lambda question: getattr(recording, question.verb)(question))
        return made

    return measured


def test_looks_are_those_at_requests_that_are_traffic(recorded: Any) -> None:
    """
    A look at nobody's request, or at one that was not kept, belongs to no route.
    """
    sample = lambda request: tables.row(  # noqa: E731
        "samples", **NAMED, at_s=1e9, lasted_s=0.03, request=request, route="/orders", code="a.py:1", function="a.f"
    )
    made = recorded(samples=[sample(0), sample(0), sample(1), sample(77), sample(None)])

    assert (Computing(HOME, "a.py:1", "a.f", 1), Computing(ORDERS, "a.py:1", "a.f", 2)) == made.beside.computing


def test_what_ended_is_not_unfinished(recorded: Any) -> None:
    """
    One that has a row ended; one that was last seen long before its process was last heard of ended uncounted.
    """
    seen = lambda request, seen_s, **more: tables.row(  # noqa: E731
        "in_flight", **NAMED, request=request, kind=more.get("kind", "request"), route="/home", method="GET",
        arrived_s=1e9, seen_s=1e9 + seen_s, segments=0, code=None, function="wait",
    )  # fmt: skip
    rows = [seen(1, 9.5), seen(70, 6.0), seen(71, 8.5), seen(71, 9.5), seen(72, 9.5), seen(73, 9.5, kind="background")]

    assert (Unfinished(HOME, "", "wait", 2, 9.5),) == recorded(in_flight=rows).beside.unfinished


def test_locks_are_joined_to_statements_and_to_who_is_in_the_way(recorded: Any) -> None:
    """
    By the server's id of the statement, the blocker by its process at the same look.
    """
    of = {"database": "h:1/shop"}
    ids = [
        tables.row("statement_totals", **of, at_s=1.0, query_id=5, statement=None, text=None, calls=1),
        tables.row("statement_totals", **of, at_s=2.0, query_id=5, statement=SLOW, text="SELECT 5", calls=2),
        tables.row("statement_totals", **of, at_s=2.0, query_id=6, statement=FAST, text="SELECT 6", calls=2),
    ]
    waits = {"state": "active", "query_id": 5, "wait_type": "Lock"}
    looks = [
        tables.row("activity", **of, at_s=1.0, pid=1, **waits, blocked_by="2,3"),
        tables.row("activity", **of, at_s=1.0, pid=2, state="idle in transaction", query_id=6),
        tables.row("activity", **of, at_s=2.0, pid=1, **waits, blocked_by="2"),
        tables.row("activity", **of, at_s=2.0, pid=2, state="idle in transaction", query_id=6),
        tables.row("activity", **of, at_s=3.0, pid=1, state="active", query_id=5),
        tables.row("activity", **of, at_s=3.0, pid=2, state="idle in transaction", query_id=5),
    ]

    blockers = (Blocker("SELECT 6", "idle in transaction", 2, FAST), Blocker("", "", 1))
    assert {SLOW: Locked(3, 2, blockers, at_once=1)} == recorded(statement_totals=ids, activity=looks).beside.locks


def test_hosts_are_looked_at_while_there_is_traffic(recorded: Any) -> None:
    """
    A share is of the cores that the container may use; what other guests took is of the whole machine.
    """
    hosts, programs = [], []
    for second in range(-5, 20):
        when = {"host": "h", "at_s": 1e9 + second, "lasted_s": 1.0}
        hosts.append(tables.row("hosts", **when, cores=4, cores_allowed=2.0, steal_s=0.4))
        # Before and after the traffic the collector compiles and compacts.
        collector_s = 0.2 if 0 < second <= 10 else 5.0
        programs.append(tables.row("programs", **when, role="collector", pid=9, processes=1, cpu_s=collector_s))
        programs.append(tables.row("programs", **when, role="app", pid=1, processes=1, cpu_s=1.0))
    (machine,) = recorded(hosts=hosts, programs=programs).beside.machines

    assert (machine.host, machine.load_share, machine.steal_share) == ("h", 0.0, pytest.approx(0.1))
    assert machine.collector_share == pytest.approx(0.1)


def test_what_another_route_computes_is_told_as_waiting_for_it() -> None:
    """
    One event loop: reports compute for 0.2 s, pages come while they do and wait; pages are what the goal is missed by.
    """
    rows = []
    for number in range(80):
        at_s = number * 0.5
        rows.append(Row(at_s, 0.2, route=ORDERS, cpu_s=0.2))
        rows.append(Row(at_s + 0.01, 0.01, route=HOME, queue_s=0.19, cpu_s=0.01))
    goal = replace(GOAL, target_s=0.199)
    rows = [replace(row, duration_s=0.19, cpu_s=0.19) if row.route == ORDERS else row for row in rows]
    made = profile(rows)
    finding: Finding = answered(find(made, Twin(made), goal))

    assert finding.bottleneck is not None
    assert (HOME, ORDERS) == (finding.route, finding.bottleneck.route)
    share = next(each for each in finding.evidence if each.what == "share")
    assert share.text == f"95 % of the time of {HOME} is spent waiting for the app, which computes that"

"""
One bottleneck is named, by what the goal's number would gain without it, and nothing where the goal holds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.errors import RecordingTooShort
from rung.steps.find import route_numbers
from rung.steps.find.finding import Goal, requests_min
from rung.steps.find.headroom import saturated_since
from rung.steps.find.notes import notes_on
from rung.steps.find.trial import Trial, holding_shares
from rung.steps.measure import Part
from tests.strategies import FAST, GOAL, HOME, ORDERS, SLOW, Row, Segment, Shelf, found, profile, shop


def test_a_pool_is_not_blamed_when_a_slow_query_holds_it() -> None:
    """
    A slow query fills the pool; the pool is the symptom and comes second, with the reason said.
    """
    finding = found(shop())

    assert finding.bottleneck is not None and finding.runner_up is not None
    assert Part("query", SLOW) == finding.bottleneck.part
    assert "pool" == finding.runner_up.part.seam
    assert "The pool looks full, but the bottleneck holds it" in finding.runner_up.why_not
    assert ORDERS == finding.route


def test_a_mail_inside_a_transaction_holds_the_connection() -> None:
    """
    Mail sent between a statement and its commit is what others wait for, also on routes that send none.
    """
    rows = shop(slow_s=0.002, mail_s=0.06, rate_per_s=25)
    shares = holding_shares(profile(rows))
    finding = found(rows)

    assert shares[Part("external", "mail")] > 0.8
    assert finding.bottleneck is not None
    assert Part("external", "mail") == finding.bottleneck.part


def test_a_process_counts_by_how_long_was_waited_in_it() -> None:
    """
    What holds the one pool that everybody waits for is the holder, whatever held another one for a moment.
    """

    def process(name: str, holder: str, held_s: float) -> list[Row]:
        held = Segment("query", 0.0, held_s, holder)
        kept_waiting = (Segment("pool", 0.0, held_s), Segment("query", held_s, 0.001, FAST))
        return [
            Row(0.0, held_s, (held,), ORDERS, process=name),
            Row(0.0, held_s + 0.001, kept_waiting, HOME, process=name),
        ]

    shares = holding_shares(profile([*process("h/i/1", SLOW, 0.99), *process("h/i/2", FAST, 0.01)]))

    assert pytest.approx(0.99) == shares[Part("query", SLOW)]
    assert pytest.approx(0.01) == shares[Part("query", FAST)]


def test_unseen_waiting_inside_a_transaction_is_not_called_cpu() -> None:
    """
    A connection held while no instrument sees anything is held by `other`, as far as the CPU's clock stood still.
    """
    finding = found([
        replace(row, segments=tuple(part for part in row.segments if part.seam != "external"))
        for row in shop(slow_s=0.002, mail_s=0.06, rate_per_s=25)
    ])  # fmt: skip

    assert finding.bottleneck is not None
    assert Part("other", "") == finding.bottleneck.part


def test_what_is_off_the_goals_route_gains_nothing() -> None:
    """
    A statement of another route, however large, brings the goal's number down by nothing.
    """
    quick = [Row(number * 0.1, 0.2, (Segment("query", 0, 0.15, SLOW),), ORDERS) for number in range(100)]
    other = [Row(number * 0.1, 0.15, (Segment("query", 0, 0.14, FAST),), HOME) for number in range(300)]
    made = profile([*quick, *other])
    trial = Trial(made, GOAL, ORDERS)

    np.testing.assert_array_equal(trial.latency_s, trial.without(Part("query", FAST)))
    assert Part("query", FAST) not in [suspect.part for suspect in trial.suspects()]


def test_nothing_is_the_answer_where_the_goal_holds() -> None:
    """
    With the goal met there is no bottleneck, no evidence and no exemplar, but the number is told.
    """
    finding = found(shop(slow_s=0.003))

    assert ("nothing", None, None, (), ()) == (
        finding.verdict, finding.bottleneck, finding.runner_up, finding.evidence, finding.exemplars,
    )  # fmt: skip
    assert finding.now.value < GOAL.target_s


def test_a_rare_route_is_told_and_not_judged() -> None:
    """
    A slow route with too few requests to be judged is named in a note, and the verdict is on the others.
    """
    rare = [Row(number * 0.5, 3.0, route="GET /rare") for number in range(10)]
    finding = found([*shop(slow_s=0.003), *rare])

    assert "nothing" == finding.verdict
    assert any("GET /rare (10)" in note for note in finding.notes)
    assert [("GET /rare", False)] == [(each.route, each.judged) for each in finding.routes if not each.judged]


def test_the_same_profile_twice_gives_the_same_finding() -> None:
    """
    Nothing in a finding depends on a clock, an order of sets or an unseeded draw.
    """
    assert found(shop(), planner=Shelf()) == found(shop(), planner=Shelf())


@settings(max_examples=15, deadline=None)
@given(
    slow_s=st.floats(0.01, 0.3), mail_s=st.sampled_from([0.0, 0.05]), connections=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_taking_the_bottleneck_away_never_raises_the_number(
    slow_s: float, mail_s: float, connections: int, seed: int
) -> None:
    """
    Without the bottleneck the number is no higher, and no candidate gains more than the bottleneck.
    """
    finding = found(shop(count=160, slow_s=slow_s, mail_s=mail_s, connections=connections, seed=seed))

    for suspect in (finding.bottleneck, finding.runner_up):
        if suspect is not None:
            # Where the goal holds today, both are numbers with the traffic of its headroom.
            assert 0 <= suspect.without_s.value <= finding.simulated.at_speed_s
            assert suspect.without_s.low <= suspect.without_s.high
            assert pytest.approx(finding.simulated.at_speed_s - suspect.without_s.value) == suspect.gain_s
    if finding.bottleneck is not None and finding.runner_up is not None:
        if finding.bottleneck.bears_per_s is None:
            assert finding.bottleneck.gain_s >= finding.runner_up.gain_s - 1e-6
        else:  # under overload the number is how much would be borne; what is waited for comes after what holds it
            assert finding.bottleneck.bears_per_s >= 0.9 * (finding.runner_up.bears_per_s or 0.0)
    if finding.simulated.speed == 1.0:
        assert finding.simulated.at_speed_s == finding.now.value


def test_one_bad_moment_is_no_lack_of_headroom() -> None:
    """
    By hand: a worker that takes one request at a time stood still once for 1.5 s, and 15 of 400 requests waited for it.
    With twice the traffic 30 would, more than a twentieth; but only if such a moment comes as often.
    """
    stood_s, rows = 1.5, []
    for number in range(400):
        due_s = 0.1 * number + 0.001
        waits_s = max(10.0 + stood_s + 0.005 * (number - 100) - due_s, 0.0) if number > 100 else 0.0
        lasts_s = stood_s if number == 100 else 0.005
        rows.append(Row(due_s, waits_s + lasts_s, cpu_s=lasts_s, queue_s=waits_s))
    finding = found(rows, goal=replace(GOAL, target_s=0.3))

    assert "nothing" == finding.verdict
    assert (finding.simulated.headroom or 0.0) > 2.0


def test_too_few_requests_name_the_seconds_that_would_do() -> None:
    """
    A recording too short for its percentile is refused, with a load long enough in the next step.
    """
    with pytest.raises(RecordingTooShort) as raised:
        found([Row(number * 1.0, 0.1) for number in range(30)])

    assert (30, 60) == (raised.value.requests, raised.value.requests_min)
    assert "--duration 70s" in raised.value.steps[0][1]


def test_find_does_without_a_database() -> None:
    """
    With every question unanswered the bottleneck is still named, and the missing plan is said.
    """
    alone, told = found(shop(), planner=Shelf(away=True)), found(shop(), planner=Shelf())

    assert alone.bottleneck == told.bottleneck
    assert (None, None, "") == (alone.plan, alone.table, alone.server)
    assert any("The database was not asked" in note for note in alone.notes)
    assert "no plan: no database was named." in [evidence.text for evidence in alone.evidence]


def test_evidence_names_the_scan_and_what_it_is_for() -> None:
    """
    With a database the evidence says how many rows are read, and how many are given.
    """
    finding = found(shop(), planner=Shelf())
    reading = next(evidence for evidence in finding.evidence if evidence.what == "plan")

    assert "reads all 1,000,000 rows of orders to give 20 (median)" in reading.text
    assert {"cost": 20_000.0, "table_rows": 1e6, "table_size_bytes": 1e8, "rows_kept": 20.0} == reading.figures


def test_two_causes_of_one_height_are_both_told() -> None:
    """
    Where no single thing brings the number down, the largest stands first with a gain of nothing, and a note says so.
    """
    rows = [
        Row(number * 0.1, 0.2, (Segment("query", 0, 0.2, SLOW if number % 2 else FAST),), ORDERS)
        for number in range(200)
    ]
    finding = found(rows)

    assert "bottleneck" == finding.verdict
    assert finding.bottleneck is not None and finding.runner_up is not None
    assert {SLOW, FAST} == {finding.bottleneck.part.name, finding.runner_up.part.name}
    assert 0 == finding.bottleneck.gain_s
    assert any("No single thing" in note for note in finding.notes)


def test_the_exemplar_is_the_request_at_the_percentile() -> None:
    """
    The first exemplar's latency is the goal's number itself, and its spans begin when it was due.
    """
    finding = found(shop())

    assert finding.now.value == finding.exemplars[0].latency_s
    assert all(0 <= span.start_s <= finding.exemplars[0].latency_s for span in finding.exemplars[0].spans)


def test_judged_routes_come_first_and_the_furthest_above_its_goal_leads() -> None:
    """
    Routes are ordered by whether they are judged, then by their number.
    """
    numbers = route_numbers(profile([*shop(), *[Row(1.0, 9.0, route="GET /once")]]), GOAL)

    assert [ORDERS, HOME, "GET /once"] == [number.route for number in numbers]
    assert requests_min(95) <= numbers[1].requests


@pytest.mark.parametrize("queue_known", [True, False])
def test_a_reader_is_told_where_latency_starts(queue_known: bool) -> None:
    """
    Without X-Request-Start a note says that what came before the app is not known.
    """
    made = profile(shop(), queue_known=queue_known, dropped=3, failures=2, sealed=False)
    notes = " ".join(notes_on(made, Goal(95, 0.05, 2.0, 0.01), route_numbers(made, GOAL)))

    assert queue_known == ("X-Request-Start" not in notes)
    assert "3 requests (" in notes and "2 errors inside" in notes and "Not sealed" in notes


def test_under_overload_what_would_let_the_app_bear_most_is_named() -> None:
    """
    Half of 40 requests a second take the one connection for 80 ms: 1.6 seconds of it a second.  Without the slow
    statement it would bear hundreds; p95, which grows with the recording, decides nothing.
    """
    finding = found(shop(rate_per_s=40.0))

    assert ("query", SLOW) == (finding.bottleneck.part.seam, finding.bottleneck.part.name)
    assert finding.simulated.bears_per_s == pytest.approx(1 / (0.5 * 0.08 + 0.5 * 0.002), rel=0.1)
    assert finding.bottleneck.bears_per_s > 10 * finding.simulated.bears_per_s
    (note,) = [note for note in finding.notes if note.startswith("Overloaded")]
    assert "requests/s come, and at 25 the connection pool" in note


def test_an_app_that_keeps_up_is_not_called_overloaded() -> None:
    finding = found(shop(rate_per_s=20.0))

    assert finding.bottleneck.bears_per_s is None
    assert not any("Overloaded" in note for note in finding.notes)


def test_since_when_an_app_is_saturated_is_when_it_last_kept_up() -> None:
    """
    Ten seconds of what it bears, then twice as much to the end.
    """
    easy = [Row(number * 0.1, 0.05, (), HOME) for number in range(100)]
    full = [Row(10.0 + number * 0.025, 0.05 + number * 0.025, (), HOME) for number in range(400)]

    assert saturated_since(profile([*easy, *full])) == pytest.approx(10.0, abs=2.0)

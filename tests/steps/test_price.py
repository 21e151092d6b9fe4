"""
A price is the recorded traffic run again as a move makes it, with a range; best() takes the lowest rung that reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.moves.index import IndexMove
from rung.moves.rate import executing
from rung.ports import Step
from rung.steps.find.finding import Finding, Interval
from rung.steps.find.headroom import headroom_words
from rung.steps.measure import Part, Profile
from rung.steps.price import DONE, best, price
from rung.steps.price.predict import predicted, widened
from rung.steps.price.quote import (
    HAND,
    MISSED,
    NO_PRICE,
    NOT_ENOUGH,
    NOT_YET,
    REACHES,
    SETTING,
    Move,
    Offer,
    Quote,
    Script,
)
from rung.steps.twin import edit
from rung.steps.twin.edit import scaled
from rung.steps.twin.topology import Topology
from rung.steps.twin.twin import Model, Twin
from rung.steps.twin.variant import Patch, Setting, unchanged
from rung.steps.twin.workload import Op, Workload
from tests.strategies import (
    CUSTOMER_INDEX,
    GOAL,
    HOME,
    ORDERS,
    SLOW,
    Row,
    Segment,
    Shelf,
    answered,
    found,
    profile,
    quote_of,
    shop,
)

PART = Part("query", SLOW)
# Four connections: nobody waits, so a faster statement is faster by what it saves.
ROWS = shop(connections=4)
PROFILE = profile(ROWS)
TWIN = Twin(PROFILE)
FINDING = found(ROWS, planner=Shelf())


def taking(service_s: float) -> Model:
    """
    The model in which the slow statement takes *service_s*.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        return edit.replaced(workload, edit.spent_on(workload, PART, ops=(Op.EXECUTE,)), service_s), topology

    return model


def offer_of(model: Model, **changed: object) -> Offer:
    offer = Offer(name="trial:1", rung=4, what="try", cost="–", assumptions=(), model=model, taken_as=HAND)
    return replace(offer, **changed)


class Trial:
    """
    A move with these offers.
    """

    kind, rung = "trial", 4

    def __init__(self, *offers: Offer) -> None:
        self.listed = offers

    def offers(self, profile: Profile, twin: Twin, finding: Finding) -> Step[tuple[Offer, ...]]:
        return self.listed
        yield


def priced(*offers: Offer, twin: Twin = TWIN, finding: Finding = FINDING) -> tuple[Quote, ...]:
    quotes: tuple[Quote, ...] = answered(price(twin.profile, twin, finding, (Trial(*offers),)))
    return quotes


def number(model: Model, *bounds: Model) -> Interval:
    outcomes = [TWIN.run(each) for each in (model, *bounds)]
    return predicted(TWIN, FINDING.route, FINDING.goal.percentile, outcomes)


def test_a_replacement_like_the_original_leaves_the_number_where_it_is() -> None:
    """
    Drawing a statement's own times again keeps the number within its interval.
    """
    chosen = edit.spent_on(TWIN.workload, PART, ops=(Op.EXECUTE,))
    told = number(executing(PART, PART, float(np.median(TWIN.workload.service_s[chosen]))))

    assert told.low <= FINDING.now.value <= told.high


def test_what_changes_nothing_is_priced_at_what_was_recorded() -> None:
    """
    The twin's own error is taken out of the number.
    """
    assert number(unchanged).value == pytest.approx(FINDING.now.value)


@settings(max_examples=10, deadline=None)
@given(service_s=st.floats(0, 0.2), good_s=st.floats(0, 0.1), bad_s=st.floats(0, 0.3))
def test_an_interval_holds_its_value_and_what_is_not_known(service_s: float, good_s: float, bad_s: float) -> None:
    """
    Low, value and high are in order whatever replaces the part, and each bound widens the range or leaves it.
    """
    alone = number(taking(service_s))
    told = number(taking(service_s), taking(good_s), taking(bad_s))

    assert 0 <= told.low <= told.value <= told.high
    assert told.value == alone.value
    assert told.low <= alone.low + 1e-12 and alone.high <= told.high + 1e-12


def test_a_price_rises_with_what_replaces_the_part() -> None:
    """
    A dearer replacement is never priced lower.
    """
    numbers = [number(taking(service_s)).value for service_s in (0, 0.01, 0.1)]

    assert sorted(numbers) == numbers and numbers[0] < numbers[-1]


@pytest.mark.parametrize("residual", [0.0, 0.1, -0.1])
def test_what_the_twin_misses_is_in_the_range(residual: float) -> None:
    """
    Independent errors add in squares: the range grows with the residual, whichever way it points.
    """
    exact, missed = (widened(Interval(1.0, 0.9, 1.1), each) for each in (0.0, residual))

    assert exact.low < 0.9 and exact.high > 1.1, "two runs differ, even where the twin is exact"
    assert (missed.low, missed.high) == pytest.approx((widened(Interval(1.0, 0.9, 1.1), -residual).low, missed.high))
    assert missed.low <= exact.low and missed.high >= exact.high


def test_the_ladder_begins_with_doing_nothing() -> None:
    """
    Doing nothing is always priced, first, and misses the goal where there is a bottleneck.
    """
    quotes = answered(price(PROFILE, TWIN, FINDING, (IndexMove(),)), Shelf())

    assert ["nothing", "index:orders(customer_id,created_at)"] == [quote.name for quote in quotes]
    assert (MISSED, None) == (quotes[0].verdict, quotes[0].plan)
    assert REACHES == quotes[1].verdict
    assert CUSTOMER_INDEX == quotes[1].plan.index
    assert quotes[1].predicted.high < 0.02 and quotes[1].ratio.value < 0.2


def test_each_judged_route_has_its_percentiles_now_and_then() -> None:
    """
    p50, p95 and p99 of both routes; the one that does not ask the statement stays as it is.
    """
    (_, quote) = priced(offer_of(taking(0.001)))
    routes = {each.route: each for each in quote.routes}

    assert {ORDERS, HOME} == set(routes)
    for route, each in routes.items():
        recorded_s = PROFILE.requests.latency_s[PROFILE.requests.route == PROFILE.routes.index(route)]
        assert each.now_s == pytest.approx(np.percentile(recorded_s, (50, 95, 99), method="inverted_cdf"))
        assert each.then_s[0] <= each.then_s[1] <= each.then_s[2]
    assert routes[ORDERS].then_s[1] < 0.02
    assert routes[HOME].then_s == pytest.approx(routes[HOME].now_s, rel=0.05)


def test_what_it_would_bear_is_told_with_what_is_full_first() -> None:
    """
    The event loop is full first, whatever a statement takes; with half of the computing it bears twice as much. How
    full the host's cores are is not known, so they are never named.
    """

    def halved(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        return scaled(workload, workload.op == Op.COMPUTE, 0.5), topology

    (nothing, faster, half) = priced(offer_of(taking(0.001)), offer_of(halved))

    assert {"the event loop of an app process"} == {each.fullest for each in (nothing, faster, half)}
    assert faster.bears_per_s == pytest.approx(nothing.bears_per_s)
    assert half.bears_per_s == pytest.approx(2 * nothing.bears_per_s)
    assert np.isnan(TWIN.base.use("cores", "h").busy)


def test_where_nothing_is_known_to_be_full_no_rate_is_told() -> None:
    rows = [Row(number * 0.2, 0.1, (Segment("external", 0.0, 0.1, "http"),), ORDERS) for number in range(100)]
    twin, finding = Twin(profile(rows)), found(rows)
    (nothing, quote) = priced(offer_of(unchanged), twin=twin, finding=finding)

    assert (None, "", None, "") == (nothing.bears_per_s, nothing.fullest, quote.bears_per_s, quote.fullest)
    easy = found(rows, goal=replace(GOAL, target_s=1.0))
    assert headroom_words(easy.simulated, easy.goal).endswith("× the traffic (the goal asks 2×).")


def test_the_rungs_stand_in_order() -> None:
    class Lower(Trial):
        rung = 1

    moves: Sequence[Move] = (Trial(offer_of(unchanged)), Lower(offer_of(unchanged, rung=1, name="lower:1")))
    quotes = answered(price(PROFILE, TWIN, FINDING, moves))

    assert [0, 1, 4] == [quote.rung for quote in quotes]


def test_what_gains_nothing_is_not_yet_with_the_number() -> None:
    (_, nothing, little, much) = priced(offer_of(unchanged), offer_of(taking(0.084)), offer_of(taking(0.06)))

    assert (NOT_YET, "it gains nothing: p95 falls by 0 %") == (nothing.verdict, nothing.reason)
    assert NOT_YET == little.verdict and not little.gains
    assert "two runs alone may differ by as much" in little.reason and "p95 falls by 2 %" in little.reason
    assert (NOT_ENOUGH, True) == (much.verdict, much.gains)


def test_why_not_yet_is_told_beside_the_price() -> None:
    """
    What a move knows itself comes before what the price says, and the price is there all the same.
    """
    (_, quote) = priced(offer_of(taking(0.001), not_yet="3 % of the reads would hit"))

    assert (NOT_YET, "3 % of the reads would hit") == (quote.verdict, quote.reason)
    assert quote.predicted is not None and quote.predicted.value < 0.02


def test_another_route_above_the_goal_is_named() -> None:
    """
    The bottleneck of one route goes, the goal is still missed: it is not enough, and the reader is told where.
    """
    other = [Row(number * 0.2, 0.071, (Segment("external", 0.0, 0.07, "http"),), "GET /other") for number in range(100)]
    rows = [*ROWS, *other]
    twin = Twin(profile(rows))
    (_, quote) = priced(offer_of(taking(0.001)), twin=twin, finding=found(rows))

    assert ORDERS == quote.route
    assert (NOT_ENOUGH, True) == (quote.verdict, quote.gains)
    assert "GET /other stays above the goal with 71" in quote.reason


def test_what_makes_another_route_worse_than_the_worst_is_not_yet() -> None:
    def elsewhere(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        home = (workload.route == workload.routes.index(HOME))[workload.request]
        faster, _ = taking(0.001)(workload, topology)
        slower_s = np.where(home & (workload.op == Op.EXECUTE), 0.5, faster.service_s)
        return replace(faster, service_s=slower_s), topology

    (_, quote) = priced(offer_of(elsewhere))

    assert NOT_YET == quote.verdict
    assert f"p95 of {HOME} would rise to 50" in quote.reason


def test_a_twin_that_misses_its_own_recording_gives_no_price() -> None:
    """
    The reason has the number; what a move knows of itself is told all the same.
    """
    finding = replace(FINDING, simulated=replace(FINDING.simulated, trusted=False, residual=-0.3))
    (nothing, quote, known) = priced(
        offer_of(taking(0.001)), offer_of(unchanged, not_yet="waiting is 0 %"), finding=finding
    )

    assert nothing.bears_per_s is None
    assert (NO_PRICE, None, False) == (quote.verdict, quote.predicted, quote.gains)
    assert "misses this recording's own number by 30 %, more than 15 %" in quote.reason
    assert (NOT_YET, "waiting is 0 %") == (known.verdict, known.reason)


def test_where_the_goal_holds_today_the_verdict_is_about_its_headroom() -> None:
    """
    With as much traffic as was recorded the goal holds, with twice as much it does not: that is what a move is for.
    """
    rows = shop(slow_s=0.03, rate_per_s=20, connections=1)
    finding = found(rows)
    twin = Twin(profile(rows))
    assert finding.now.value < GOAL.target_s < finding.simulated.at_speed_s
    (nothing, quote) = priced(offer_of(taking(0.001)), twin=twin, finding=finding)

    assert MISSED == nothing.verdict and "with 2× the traffic" in nothing.reason
    assert REACHES == quote.verdict and "with 2× the traffic" in quote.reason


def test_where_the_goal_holds_no_move_is_asked() -> None:
    """
    Without a bottleneck the ladder is doing nothing, and it reaches the goal.
    """
    rows, shelf = shop(slow_s=0.003), Shelf()
    quotes = answered(price(profile(rows), Twin(profile(rows)), found(rows), (IndexMove(),)), shelf)

    assert [("nothing", REACHES)] == [(quote.name, quote.verdict) for quote in quotes]
    assert 0 == shelf.asked


def test_without_a_plan_no_index_is_offered() -> None:
    """
    A price without the planner would be a guess, so there is none.
    """
    away = Shelf(away=True)
    quotes = answered(price(PROFILE, TWIN, found(ROWS, planner=away), (IndexMove(),)), away)

    assert ["nothing"] == [quote.name for quote in quotes]


def test_a_goal_just_met_is_reached() -> None:
    """
    Reaching is "not above": the goal's own number counts, and a little less does not do.
    """
    model = taking(0.02)
    left_s = max(TWIN.number(TWIN.run(model), route, 95) for route in (ORDERS, HOME))

    def verdict(target_s: float) -> str:
        return priced(offer_of(model), finding=replace(FINDING, goal=replace(GOAL, target_s=target_s)))[1].verdict

    assert (REACHES, NOT_ENOUGH) == (verdict(left_s), verdict(left_s - 1e-9))


def test_best_is_the_lowest_rung_that_reaches() -> None:
    """
    Of two that reach the goal the lower rung wins, also when the higher one is faster.
    """
    low, high = quote_of(name="low", rung=1), quote_of(name="high", rung=5, predicted=Interval(0.001, 0.001, 0.001))

    assert low == best([quote_of(name="nothing", rung=0, plan=None, verdict=MISSED), high, low])


def test_best_on_one_rung_is_what_can_be_taken() -> None:
    """
    What rung can write down comes before what is left to people, and that before a higher rung.
    """
    by_hand = quote_of(name="hand", rung=4, plan=None, predicted=Interval(0.001, 0.001, 0.001), taken_as=HAND)
    setting = quote_of(name="set", rung=4, plan=None, setting=Setting("2", "1"), taken_as=SETTING)

    assert setting == best([by_hand, setting])
    assert by_hand == best([by_hand, replace(setting, rung=5)])


def not_enough(name: str, rung: int, value_s: float, **changed: object) -> Quote:
    """
    The quote of a move that leaves *value_s*, above the goal.
    """
    predicted = Interval(value_s, value_s, value_s)
    return quote_of(name=name, rung=rung, verdict=NOT_ENOUGH, predicted=predicted, **changed)


def no_price(name: str, **changed: object) -> Quote:
    """
    The quote of a move that the twin could not be asked about.
    """
    return quote_of(name=name, verdict=NO_PRICE, predicted=None, gains=False, **changed)


def test_best_of_those_that_do_not_reach_gains_most() -> None:
    """
    Where nothing reaches the goal the one that comes nearest is taken, of those that are alike the lower rung.
    """
    far, near = not_enough("far", 1, 0.15), not_enough("near", 2, 0.1)

    assert near == best([far, near])
    patch, cache = not_enough("patch", 1, 0.1005, plan=None, patch=Patch("a.py", "+b")), not_enough("cache", 2, 0.1)
    assert patch == best([far, cache, patch])


def test_best_gains_for_sure() -> None:
    """
    A range that reaches up to the recorded number comes behind one that does not, whatever its middle or its rung.
    """
    sure, unsure = quote_of(name="sure", rung=4), quote_of(name="unsure", rung=1, sure=False)
    assert sure == best([unsure, sure])
    assert unsure == best([unsure, not_enough("less", 1, 0.19)])

    near, far = not_enough("near", 1, 0.1, sure=False), not_enough("far", 2, 0.15)
    assert far == best([near, far])
    assert near == best([near])


def test_a_range_that_reaches_the_recorded_number_is_not_sure() -> None:
    """
    Only at the recorded load: of more traffic there is no range.
    """
    narrow, wide = priced(offer_of(taking(0.02)), offer_of(taking(0.02), bounds=(taking(0.3),)))[1:]
    assert (True, False) == (narrow.sure, wide.sure)

    simulated = replace(FINDING.simulated, speed=2.0)
    (_, faster) = priced(offer_of(taking(0.02), bounds=(taking(0.3),)), finding=replace(FINDING, simulated=simulated))
    assert faster.sure


def test_best_without_any_price_takes_most_off() -> None:
    """
    On the lowest rung, what takes most off of the recorded work; what takes nothing off is left, and so is what people
    have to do.  Anything that has a price comes before.
    """
    some, more = no_price("index:a", relieves=0.3), no_price("indexes:a+b", relieves=0.5)
    patch = no_price("nplusone:x", plan=None, patch=Patch("a.py", "+b"), relieves=0.4)
    by_hand = no_price("hand", plan=None, relieves=0.9)

    assert more == best([by_hand, some, more, patch])
    assert patch == best([by_hand, some, patch])
    assert some == best([some, replace(patch, rung=2, relieves=0.9)])
    assert None is best([no_price("index-drop:a"), by_hand])
    assert "priced" == best([some, quote_of(name="priced", rung=4, verdict=NOT_ENOUGH)]).name


def test_what_a_move_takes_off_needs_no_simulation() -> None:
    """
    A simulation that is not trusted gives no price; how much of the route's work goes away is counted all the same.
    """
    simulated = replace(FINDING.simulated, trusted=False)
    offers = (offer_of(unchanged), offer_of(taking(0.02)), offer_of(taking(0.0)))
    quotes = priced(*offers, finding=replace(FINDING, simulated=simulated))[1:]

    assert {NO_PRICE} == {quote.verdict for quote in quotes}
    none, some, most = (quote.relieves for quote in quotes)
    assert 0.0 == none < some < most < 1.0


def test_what_was_carried_out_is_not_taken_again() -> None:
    """
    By its name, with a price or without one.
    """
    offers = (offer_of(taking(0.02)), offer_of(taking(0.03), name="trial:2"), offer_of(unchanged, unpriced="unknown"))
    moves = (Trial(*offers),)
    _, again, other, unpriced = answered(price(PROFILE, TWIN, FINDING, moves, carried_out={"trial:1"}))

    assert (NOT_YET, DONE) == (again.verdict, again.reason) == (unpriced.verdict, unpriced.reason)
    assert other == best([again, other, unpriced])


def test_fresh_statistics_come_before_higher_rungs() -> None:
    """
    They have no price and leave nothing behind; what has a price on the same rung comes before them.
    """
    script = Script(("ANALYZE orders",), ())
    fresh = no_price("statistics:orders", plan=None, script=script)
    index, higher = quote_of(), quote_of(name="pool:20", rung=4)

    assert fresh == best([fresh, higher])
    assert fresh == best([fresh, replace(higher, verdict=NOT_ENOUGH)])
    assert index == best([fresh, index, higher])
    assert fresh == best([no_price("index:a", relieves=0.5), fresh])
    more = replace(fresh, script=replace(script, undo=("DROP STATISTICS x",)))
    assert higher == best([more, higher])
    assert more == best([more])


def test_best_is_nothing_where_no_move_surely_gains() -> None:
    """
    A quote that does not gain, is not yet, or has no number is not taken.
    """
    assert (
        best([quote_of(verdict=NOT_ENOUGH, gains=False), quote_of(predicted=None), quote_of(verdict=NOT_YET)]) is None
    )
    assert best([]) is None

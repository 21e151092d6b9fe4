"""
The number moved, did not, or got worse; and "too little data" rather than a guess.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rung.steps.confirm import MOVED, NOT_MOVED, TOO_LITTLE, WORSE, Verdict, _judged, confirm
from rung.steps.confirm.compared import are_pairs, of_recordings
from rung.steps.find.finding import Interval
from tests.strategies import GOAL, HOME, ORDERS, Row, profile, quote_of, traffic


def compared(before: list[Row], after: list[Row], quote: object = None) -> Verdict:
    return confirm(of_recordings(profile(before), profile(after, name="after")), GOAL, quote)  # type: ignore[arg-type]


@pytest.mark.parametrize("arrivals_seed", [1, 2], ids=["pairs", "windows"])
def test_the_same_app_twice_has_not_moved(arrivals_seed: int) -> None:
    """
    Two recordings of one distribution are not told apart: half a minute may be too little to say so, two are enough.
    """

    def twice(seed: int, lasted_s: float) -> str:
        before = traffic(seed=seed, lasted_s=lasted_s)
        return compared(before, traffic(seed=seed + 500, arrivals_seed=arrivals_seed, lasted_s=lasted_s)).verdict

    assert {twice(seed, 36.0) for seed in range(4)} <= {NOT_MOVED, TOO_LITTLE}
    assert {twice(seed, 120.0) for seed in range(4)} == {NOT_MOVED}


def test_ten_times_faster_has_moved() -> None:
    """
    A tenfold gain is seen with its interval clear of 1 and around the truth, in pairs.
    """
    verdict = compared(traffic(seed=1), traffic(seed=2, times=0.1))

    assert (MOVED, True, False) == (verdict.verdict, verdict.paired, verdict.worse)
    assert verdict.ratio is not None
    assert verdict.ratio.low < 0.1 < verdict.ratio.high < 1
    assert verdict.words.startswith("Moved: ") and "times faster" in verdict.words


def test_three_times_slower_is_worse() -> None:
    """
    A loss is called worse, with the interval clear of 1.
    """
    verdict = compared(traffic(seed=1), traffic(seed=2, times=3.0))

    assert (WORSE, True) == (verdict.verdict, verdict.worse)
    assert verdict.ratio is not None and 1 < verdict.ratio.low < verdict.ratio.value < verdict.ratio.high


def test_less_than_six_blocks_of_three_seconds_is_too_little() -> None:
    """
    In less than eighteen seconds the verdict is withheld, and traffic of the told length is enough.
    """
    verdict = compared(traffic(lasted_s=17.9, seed=1), traffic(lasted_s=17.9, seed=2, times=0.1))
    assert (TOO_LITTLE, None) == (verdict.verdict, verdict.ratio)
    assert verdict.needed_s is not None

    longer = compared(traffic(lasted_s=verdict.needed_s, seed=1), traffic(lasted_s=verdict.needed_s, seed=2, times=0.1))
    assert MOVED == longer.verdict


def test_too_few_requests_name_the_seconds_that_give_enough() -> None:
    """
    Below the requests that a percentile takes, the seconds told are in proportion.
    """
    verdict = compared(traffic(rate_per_s=1.0, seed=1), traffic(rate_per_s=1.0, seed=2))

    assert TOO_LITTLE == verdict.verdict
    assert verdict.needed_s is not None and 60 < verdict.needed_s < 90


def test_other_rates_are_another_traffic() -> None:
    """
    Windows of different rates are not compared, and the words say why.
    """
    verdict = compared(traffic(seed=1), traffic(seed=2, rate_per_s=60.0, arrivals_seed=2, times=0.1))

    assert (TOO_LITTLE, False, None) == (verdict.verdict, verdict.paired, verdict.ratio)
    assert "do not carry the same traffic" in verdict.words


def test_an_open_verdict_asks_for_more_than_there_was() -> None:
    """
    Where the interval holds both 1 and the promise, more traffic is asked for than was recorded, or instances in turns
    where two runs differ by too much for any traffic to do.
    """
    open_ones = []
    for seed in range(2, 6):
        rows = [
            replace(row, duration_s=row.duration_s * (20 if place % 21 == seed % 21 else 1))
            for place, row in enumerate(traffic(rate_per_s=3.0, seed=seed))
        ]
        verdict = compared(rows, traffic(rate_per_s=3.0, seed=seed + 90, times=1.6))
        if verdict.verdict == TOO_LITTLE:
            open_ones.append(verdict)

    assert open_ones
    for verdict in open_ones:
        if verdict.needed_s is None:
            assert verdict.words.endswith("Two instances that take turns would tell: rung confirm --pairs.")
        else:
            assert verdict.needed_s > 36.0


def test_an_uneven_interval_asks_for_no_less_than_there_was() -> None:
    """
    It may be narrow enough by its width and still hold both 1 and a change that matters: it takes more, not less.
    """
    before, after = traffic(seed=1, lasted_s=60.0), traffic(seed=2, lasted_s=60.0)
    made = replace(of_recordings(profile(before), profile(after)), interleaved=True)

    assert (TOO_LITTLE, pytest.approx(1.2 * made.lasted_s)) == _judged(made, Interval(0.99, 0.89, 1.01), None)


def test_a_loss_that_cannot_be_excluded_is_not_called_not_moved() -> None:
    """
    An interval that reaches far above 1 leaves a loss open as much as one far below leaves a gain.
    """
    verdicts = []
    for seed in range(6):
        after = [
            replace(row, duration_s=row.duration_s * (20 if place % 21 == seed else 1))
            for place, row in enumerate(traffic(rate_per_s=3.0, seed=seed + 90))
        ]
        verdicts.append(compared(traffic(rate_per_s=3.0, seed=seed), after))

    assert any(verdict.ratio is not None and verdict.ratio.high > 2 for verdict in verdicts)
    for verdict in verdicts:
        assert verdict.ratio is not None
        assert NOT_MOVED != verdict.verdict or verdict.ratio.high < 2


def test_pairs_are_recognised_when_some_requests_are_missing() -> None:
    """
    Two percent missing from one side, the first request among them, leave the recordings pairs.
    """
    before, after = traffic(seed=1), traffic(seed=2)
    generator = np.random.Generator(np.random.PCG64(3))
    for first in (0, 1, 2):
        left = [row for row in after[first:] if generator.random() > 0.02]
        assert are_pairs(profile(before), profile(left, name="after"))
        assert are_pairs(profile(left), profile(before, name="after"))


def test_other_seeds_make_no_pairs() -> None:
    """
    The same rate at other moments is another traffic, also on one route and when there is much of it.
    """
    for rate_per_s in (30.0, 300.0):
        one, other = (profile(traffic(rate_per_s=rate_per_s, arrivals_seed=seed)) for seed in (1, 2))
        assert not are_pairs(one, other)


def test_other_routes_at_the_same_moments_make_no_pairs() -> None:
    """
    A pair is the same route at the same moment.
    """
    assert not are_pairs(profile(traffic()), profile(traffic(route=HOME)))


def test_arrivals_before_an_unknown_queue_make_no_pairs() -> None:
    """
    Moments that the app took are not arrivals.
    """
    rows = traffic()

    assert are_pairs(profile(rows), profile(rows))
    assert not are_pairs(profile(rows), profile(rows, queue_known=False))


def test_side_effects_are_told() -> None:
    """
    Another route that got slower and errors that rose are said beside the verdict, and nothing is when they did not.
    """
    before = [*traffic(seed=1), *traffic(seed=3, route=HOME)]
    same = [*traffic(seed=2, times=0.1), *traffic(seed=4, route=HOME)]
    slower = [*traffic(seed=2, times=0.1), *traffic(seed=4, route=HOME, times=3.0, status=500)]
    quote = quote_of()

    assert () == compared(before, same, quote).side_effects
    told = compared(before, slower, quote).side_effects
    assert 2 == len(told)
    assert told[0].startswith(f"{HOME} got slower: ")
    assert "errors: 0 % → 50 %" == told[1]


def test_the_promise_stands_beside_the_measurement() -> None:
    """
    With a quote its route and percentile are judged, and its prediction is carried along.
    """
    rows = [*traffic(seed=1), *traffic(seed=3, route=HOME, times=9.0)]
    verdict = compared(rows, rows, quote_of(percentile=50, now=Interval(0.2, 0.2, 0.2)))

    assert (ORDERS, 50) == (verdict.route, verdict.percentile)
    assert verdict.predicted is not None and pytest.approx(0.1) == verdict.predicted.value
    assert Interval(0.02, 0.01, 0.03) == verdict.predicted_s


def test_without_a_quote_the_goals_route_is_judged() -> None:
    """
    Recordings that no promise was made of are compared on the route furthest above the goal.
    """
    rows = [*traffic(seed=1), *traffic(seed=3, route=HOME, times=9.0)]
    verdict = compared(rows, rows)

    assert (HOME, NOT_MOVED) == (verdict.route, verdict.verdict)
    # Equal to the last request, and still no more certain than two runs one after the other can be.
    assert verdict.ratio is not None and pytest.approx(1.0) == verdict.ratio.value
    assert verdict.ratio.low < 0.9 and verdict.ratio.high > 1.1


def test_a_route_that_is_gone_is_too_little_data() -> None:
    """
    A route that nobody asked for afterwards cannot be judged, and nothing breaks on it.
    """
    verdict = compared(traffic(), traffic(route=HOME, arrivals_seed=2), quote_of())

    assert (TOO_LITTLE, 0) == (verdict.verdict, verdict.after.requests)

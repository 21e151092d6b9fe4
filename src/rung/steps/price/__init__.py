"""
Price the ladder: each move in the goal's own unit, with an interval, or "not yet" and why.

In        a Profile, its Twin, its Finding, the moves, how good earlier prices were
Out       Quotes in the order of the ladder; the first is doing nothing
Not here  what a move is (moves/), working a number out (predict.py), taking one (take/)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from rung.ports import Step
from rung.steps.find.finding import Finding
from rung.steps.find.headroom import reason_of
from rung.steps.measure import Profile
from rung.steps.price.predict import NORMAL_80, RUNS_DIFFER, predicted, route_prices, worst
from rung.steps.price.quote import MISSED, NO_PRICE, NOT_ENOUGH, NOT_YET, REACHES, Move, Offer, Quote, Record
from rung.steps.twin import edit
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.twin import Model, Twin
from rung.units import show_seconds, show_share

GAIN_MIN = 0.01  # of the goal's number; a move that brings less brings nothing
DONE = "the ledger has it as carried out; record again, or take it back"
DIFFERENCE_MIN = 1 - math.exp(-NORMAL_80 * RUNS_DIFFER)  # by which two runs alone may differ


def price(
    profile: Profile,
    twin: Twin,
    finding: Finding,
    moves: Sequence[Move],
    record: Mapping[str, Record] = MappingProxyType({}),
    carried_out: Collection[str] = (),
) -> Step[tuple[Quote, ...]]:
    """
    Return the price of doing nothing and of each offer of each move, lowest rung first.

    Args:
        record: How good the prices of each kind of move have been, by kind.
        carried_out: Names of the moves that were taken and carried out: none of them is one to take again.
    """
    quotes = [_nothing(finding)]
    if finding.bottleneck is not None:
        for move in sorted(moves, key=lambda move: move.rung):
            offers = yield from move.offers(profile, twin, finding)
            fresh = [replace(each, not_yet=DONE) if each.name in carried_out else each for each in offers]
            quotes += [_quote(twin, finding, offer, record.get(move.kind)) for offer in fresh]
    return tuple(quotes)


def best(quotes: Sequence[Quote]) -> Quote | None:
    """
    Return the lowest rung that reaches the goal, else the move with the largest gain; None if none gains.

    What gains for sure comes first: its whole range is below the recorded number.  On one rung, what rung can write
    down comes before what is left to people; of gains that are alike the lower rung is taken.  Where nothing has a
    price, the lowest rung is taken, and on it the move that takes most off of the route's recorded work.
    Fresh statistics have no price either; they leave nothing behind, so they come before any higher rung.
    """
    gaining = [
        (quote, quote.predicted.value)
        for quote in quotes
        if quote.rung > 0 and quote.predicted is not None and quote.gains and quote.verdict in {REACHES, NOT_ENOUGH}
    ]
    reaching = [(quote, value_s) for quote, value_s in gaining if quote.verdict == REACHES]
    chosen = unpriced = _unpriced(quotes)
    if reaching:
        chosen = min(reaching, key=lambda each: (not each[0].sure, each[0].rung, not each[0].takeable, each[1]))[0]
    elif gaining:
        surest = [each for each in gaining if each[0].sure] or gaining
        least_s = min(value_s for _, value_s in surest)
        alike = [each for each in surest if each[1] <= least_s * (1 + GAIN_MIN)]
        chosen = min(alike, key=lambda each: (each[0].rung, not each[0].takeable, each[1]))[0]
    if unpriced is not None and chosen is not None and not unpriced.lasting and unpriced.rung < chosen.rung:
        return unpriced
    return chosen


def _unpriced(quotes: Sequence[Quote]) -> Quote | None:
    """
    Return the best of the moves that have no price and that rung can carry out itself.
    """
    found = [
        (quote.rung, quote.lasting, -quote.relieves, place)
        for place, quote in enumerate(quotes)
        if quote.verdict == NO_PRICE
        and (quote.script is not None or (quote.relieves > GAIN_MIN and (quote.runnable or quote.patch is not None)))
    ]
    return quotes[min(found)[-1]] if found else None


def _nothing(finding: Finding) -> Quote:
    holds = finding.verdict == "nothing"
    simulated = finding.simulated
    return Quote(
        name="nothing",
        rung=0,
        what="do nothing",
        route=finding.route,
        percentile=finding.goal.percentile,
        now=finding.now,
        predicted=finding.now,
        cost="–",
        verdict=REACHES if holds else MISSED,
        reason="" if holds else _faster(finding, simulated.at_speed_s),
        assumptions=(),
        plan=None,
        gains=False,
        bears_per_s=_finite(simulated.bears_per_s) if simulated.trusted else None,
        fullest=simulated.fullest if simulated.trusted else "",
    )


def _finite(rate_per_s: float) -> float | None:
    """
    Return a rate at which something is full; None where nothing ever is, as far as is known.
    """
    return rate_per_s if math.isfinite(rate_per_s) else None


def _faster(finding: Finding, value_s: float) -> str:
    """
    Return the goal's number with the traffic that the bottleneck was found at; "" where that is what was recorded.
    """
    speed = finding.simulated.speed
    return f"{show_seconds(value_s)} with {speed:g}× the traffic" if speed != 1.0 else ""


def _quote(twin: Twin, finding: Finding, offer: Offer, record: Record | None) -> Quote:
    simulated = finding.simulated
    if offer.unpriced or not simulated.trusted:
        refused = _refused(finding, offer, offer.unpriced or reason_of(simulated))
        return replace(refused, relieves=_relief(twin, finding.route, offer.model))
    outcome = twin.run(offer.model)
    bounds = [twin.run(model) for model in offer.bounds]
    number = predicted(twin, finding.route, finding.goal.percentile, [outcome, *bounds], record)
    asked = outcome if simulated.speed == 1.0 else twin.run(offer.model, speed=simulated.speed)
    verdict, reason, gains = _judged(twin, finding, asked)
    if offer.not_yet:
        verdict, reason = NOT_YET, offer.not_yet
    bears = twin.bears(offer.model)
    return replace(
        _refused(finding, offer, reason),
        predicted=number,
        verdict=verdict,
        gains=gains,
        sure=simulated.speed != 1.0 or number.high < finding.now.value,
        routes=route_prices(twin, finding, outcome),
        bears_per_s=_finite(twin.rate_per_s * bears.speed),
        fullest=bears.first,
    )


def _relief(twin: Twin, route: str, model: Model) -> float:
    """
    Return what share of the recorded work of *route* goes away; nobody's waiting is in it, so it needs no simulation.
    """
    now, then = twin.workload, model(twin.workload, twin.topology)[0]
    now_s, then_s = (float(each.service_s[edit.on_route(each, route)].sum()) for each in (now, then))
    return 1 - then_s / now_s if now_s > 0 else 0.0


def _judged(twin: Twin, finding: Finding, asked: Outcome) -> tuple[str, str, bool]:
    """
    Return the verdict on a move, the number that says why, and whether it gains at all.

    Args:
        asked: The run with as much traffic as the bottleneck was found at.
    """
    percent, now_s = finding.goal.percentile, finding.simulated.at_speed_s
    then_s = twin.number(asked, finding.route, percent)
    worst_s, worst_route = worst(twin, finding, asked)
    if worst_s > now_s * (1 + GAIN_MIN):
        return NOT_YET, f"p{percent} of {worst_route} would rise to {show_seconds(worst_s)}", False
    gain = 1 - then_s / now_s
    told = f"p{percent} falls by {show_share(max(gain, 0.0))}"
    if gain <= GAIN_MIN:
        return NOT_YET, f"it gains nothing: {told}", False
    if finding.simulated.speed == 1.0 and gain <= DIFFERENCE_MIN:
        return NOT_YET, f"{told}, and two runs alone may differ by as much", False
    if worst_s <= finding.goal.target_s:
        return REACHES, _faster(finding, then_s), True
    if then_s <= finding.goal.target_s:
        return NOT_ENOUGH, f"{worst_route} stays above the goal with {show_seconds(worst_s)}", True
    return NOT_ENOUGH, _faster(finding, then_s), True


def _refused(finding: Finding, offer: Offer, reason: str) -> Quote:
    """
    Return the quote of an offer without a number.
    """
    return Quote(
        name=offer.name,
        rung=offer.rung,
        what=offer.what,
        route=finding.route,
        percentile=finding.goal.percentile,
        now=finding.now,
        cost=offer.cost,
        verdict=NOT_YET if offer.not_yet else NO_PRICE,
        reason=offer.not_yet or reason,
        assumptions=offer.assumptions,
        plan=offer.plan,
        beside=offer.beside,
        drop=offer.drop,
        script=offer.script,
        setting=offer.setting,
        patch=offer.patch,
        taken_as=offer.taken_as,
        gains=False,
    )

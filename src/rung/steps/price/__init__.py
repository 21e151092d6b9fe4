"""
Price the ladder: each move in the goal's own unit, with an interval, or "not yet" and why.

In        a Profile, its Twin, its Finding, the moves, how good earlier prices were
Out       Quotes in the order of the ladder; the first is doing nothing
Not here  what a move is (moves/), working a number out (predict.py), taking one (take.py)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rung.ports import Step
from rung.steps.find.finding import Finding
from rung.steps.measure import Profile
from rung.steps.price.predict import predicted, route_prices, worst_s
from rung.steps.price.quote import MISSED, NO_PRICE, NOT_ENOUGH, NOT_YET, REACHES, Move, Offer, Quote, Record
from rung.steps.twin.twin import RESIDUAL_MAX, Twin
from rung.units import show_share

GAIN_MIN = 0.01  # of the goal's number: below it a move brings nothing


def price(
    profile: Profile,
    twin: Twin,
    finding: Finding,
    moves: Sequence[Move],
    record: Mapping[str, Record] = MappingProxyType({}),
) -> Step[tuple[Quote, ...]]:
    """
    Return the price of doing nothing and of each offer of each move, lowest rung first.

    Args:
        record: How good the prices of each kind of move have been, by kind.
    """
    quotes = [_nothing(finding)]
    if finding.bottleneck is not None:
        for move in sorted(moves, key=lambda move: move.rung):
            offers = yield from move.offers(profile, twin, finding)
            quotes += [_quote(twin, finding, offer, record.get(move.kind)) for offer in offers]
    return tuple(quotes)


def best(quotes: Sequence[Quote]) -> Quote | None:
    """
    Return the lowest rung that reaches the goal, else the one that comes nearest; None if none gains.

    Only what can be taken is on offer: a plan of rung's, or a setting.
    """
    gaining = [
        quote
        for quote in quotes
        if (quote.plan is not None or quote.taken_as)
        and quote.predicted is not None
        and quote.gains
        and quote.verdict != NOT_YET
    ]
    reaching = [quote for quote in gaining if quote.verdict == REACHES]
    if reaching:
        return min(reaching, key=lambda quote: (quote.rung, quote.predicted.value if quote.predicted else 0.0))
    return min(gaining, key=lambda quote: quote.predicted.value if quote.predicted else 0.0, default=None)


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
        reason="" if holds or simulated.speed == 1.0 else f"with {simulated.speed:g}× the traffic",
        assumptions=(),
        plan=None,
        gains=False,
        bears_per_s=simulated.bears_per_s,
        fullest=simulated.fullest,
    )


def _quote(twin: Twin, finding: Finding, offer: Offer, record: Record | None) -> Quote:
    simulated = finding.simulated
    if not simulated.trusted:
        return _refused(
            finding,
            offer,
            f"the simulation misses this recording's own number by {show_share(abs(simulated.residual))}, "
            f"more than {show_share(RESIDUAL_MAX)}",
        )
    outcome = twin.run(offer.model)
    number = predicted(twin, finding, offer, outcome, record)
    asked = outcome if simulated.speed == 1.0 else twin.run(offer.model, speed=simulated.speed)
    then_s = worst_s(twin, finding, asked)
    gains = then_s < simulated.at_speed_s * (1 - GAIN_MIN)
    if simulated.speed == 1.0:
        gains = gains and number.high < finding.now.value
    bears = twin.bears(offer.model)
    reaches = then_s <= finding.goal.target_s
    verdict = REACHES if reaches else NOT_ENOUGH if gains else NOT_YET
    reason = offer.not_yet or ("" if gains else "waiting there gains nothing")
    if offer.not_yet:
        verdict = NOT_YET
    return Quote(
        name=offer.name,
        rung=offer.rung,
        what=offer.what,
        route=finding.route,
        percentile=finding.goal.percentile,
        now=finding.now,
        predicted=number,
        cost=offer.cost,
        verdict=verdict,
        reason=reason,
        assumptions=offer.assumptions,
        plan=offer.plan,
        taken_as=offer.taken_as,
        gains=gains,
        routes=route_prices(twin, finding, outcome),
        bears_per_s=len(twin.profile.requests) / max(twin.profile.lasted_s, 1e-9) * bears.speed,
        fullest=bears.first,
    )


def _refused(finding: Finding, offer: Offer, reason: str) -> Quote:
    return Quote(
        name=offer.name,
        rung=offer.rung,
        what=offer.what,
        route=finding.route,
        percentile=finding.goal.percentile,
        now=finding.now,
        cost=offer.cost,
        verdict=NO_PRICE,
        reason=reason,
        assumptions=offer.assumptions,
        plan=offer.plan,
        taken_as=offer.taken_as,
        gains=False,
    )

"""
Price the ladder: each move in the goal's own unit, with an interval, or "not yet" and why.

In        a Profile, its Finding, the moves
Out       Quotes in the order of the ladder; the first is doing nothing
Not here  what a move is (moves/), taking one (take.py)
"""

from __future__ import annotations

from collections.abc import Sequence

from rung.ports import Step
from rung.steps.find.finding import Finding
from rung.steps.measure import Profile
from rung.steps.price.edit import predicted
from rung.steps.price.quote import MISSED, NOT_ENOUGH, REACHES, Move, Offer, Quote

WAITING_KEPT = "waiting is left as it was recorded, so the number is rather too high than too low"


def price(profile: Profile, finding: Finding, moves: Sequence[Move]) -> Step[tuple[Quote, ...]]:
    """
    Return the price of doing nothing and of each offer of each move, lowest rung first.
    """
    quotes = [_nothing(finding)]
    if finding.bottleneck is not None:
        for move in sorted(moves, key=lambda move: move.rung):
            offers = yield from move.offers(profile, finding)
            quotes += [_quote(profile, finding, offer) for offer in offers]
    return tuple(quotes)


def best(quotes: Sequence[Quote]) -> Quote | None:
    """
    Return the lowest rung that reaches the goal, else the one that comes nearest; None if none gains.
    """
    gaining = [
        quote
        for quote in quotes
        if quote.plan is not None and quote.predicted is not None and quote.predicted.high < quote.now.value
    ]
    reaching = [quote for quote in gaining if quote.verdict == REACHES]
    if reaching:
        return min(reaching, key=lambda quote: (quote.rung, quote.predicted.value if quote.predicted else 0.0))
    return min(gaining, key=lambda quote: quote.predicted.value if quote.predicted else 0.0, default=None)


def _nothing(finding: Finding) -> Quote:
    holds = finding.verdict == "nothing"
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
        reason="",
        assumptions=(),
        plan=None,
    )


def _quote(profile: Profile, finding: Finding, offer: Offer) -> Quote:
    number = predicted(profile, finding, offer.replacement)
    reaches = number.value <= finding.goal.target_s
    return Quote(
        name=offer.name,
        rung=offer.rung,
        what=offer.what,
        route=finding.route,
        percentile=finding.goal.percentile,
        now=finding.now,
        predicted=number,
        cost=offer.cost,
        verdict=REACHES if reaches else NOT_ENOUGH,
        reason="",
        assumptions=(*offer.assumptions, WAITING_KEPT),
        plan=offer.plan,
    )

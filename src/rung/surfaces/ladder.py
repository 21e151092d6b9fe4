"""
Put the ladder into words: each move in the goal's own unit, and "not yet" with the number that says why.

In        a Look
Out       text for a terminal: two lines a move, what it would bring and what it takes
Not here  the bottleneck (text.py), working a price out (steps/price)
"""

from __future__ import annotations

from collections.abc import Sequence

from rung.loop import Look
from rung.steps.find.finding import PERCENTILES, Finding
from rung.steps.find.headroom import now_words, reason_of
from rung.steps.price import best
from rung.steps.price.quote import NO_PRICE, NOT_YET, Quote
from rung.surfaces.terminal import width
from rung.surfaces.text import cost_of, head_text, labelled, range_text, short_name, table, unasked, wrapped
from rung.units import show_change, show_count, show_seconds

MOVE_WIDTH = 56
INDENT = " " * 8  # below the move's first letter
SPREAD = "80 % of cases"


def ladder_text(look: Look, *, head: bool = True) -> str:
    """
    Return the whole ladder.
    """
    finding, chosen = look.finding, best(look.quotes)
    lines = [head_text(finding), ""] if head else []
    if finding.bottleneck is not None and finding.simulated.speed != 1.0:
        lines += [labelled("Headroom", now_words(finding.simulated, finding.goal)), ""]
    shown = _without_repeats(look.quotes)
    rows: list[tuple[str, ...]] = [
        ("rung", "  move", f"p{finding.goal.percentile} of that route ({SPREAD})", "full at", "verdict")
    ]
    rows += [_row(quote, chosen) for quote, _ in shown]
    first, *told = table(rows).splitlines()
    lines.append(first)
    for row, (quote, also) in zip(told, shown, strict=True):
        known = quote.rung > 0 and quote.fullest == look.quotes[0].fullest
        lines += [row, *_below(quote, also, known=known, trusted=finding.simulated.trusted)]
    lines += ["", *_simulated(finding), *_unplanned(finding)]
    if chosen is not None:
        lines += [labelled("Assumes", *chosen.assumptions), ""]
    return "\n".join([*lines, labelled("Next", _next(look, chosen))])


def _without_repeats(quotes: Sequence[Quote]) -> list[tuple[Quote, list[Quote]]]:
    """
    Return the quotes, each with those behind it that are of its kind and not yet for its reason.
    """
    shown: list[tuple[Quote, list[Quote]]] = []
    for quote in quotes:
        before = shown[-1][0] if shown else None
        if before is not None and quote.verdict in {NOT_YET, NO_PRICE} and _alike(quote, before):
            shown[-1][1].append(quote)
        else:
            shown.append((quote, []))
    return shown


def _alike(quote: Quote, before: Quote) -> bool:
    return (quote.kind, quote.verdict, quote.reason) == (before.kind, before.verdict, before.reason)


def _row(quote: Quote, chosen: Quote | None) -> tuple[str, ...]:
    number = "–"
    if quote.rung == 0:
        number = show_seconds(quote.now.value)
    elif quote.predicted is not None:
        number = range_text(quote.predicted)
    full = f"{show_count(quote.bears_per_s)}/s" if quote.bears_per_s is not None else "–"
    mark = "▸ " if quote is chosen else "  "
    return (f"{quote.rung:>2}", mark + wrapped(quote.what, MOVE_WIDTH)[0], number, full, quote.verdict)


def _below(quote: Quote, also: Sequence[Quote], *, known: bool, trusted: bool) -> list[str]:
    """
    Return what stands under a move: the rest of its name, why it is not yet, or what it costs and how it is taken.

    Args:
        known: Whether what is full first was told already.
        trusted: Whether the twin was asked, so that what has no price has a reason of its own.
    """
    lines = wrapped(quote.what, MOVE_WIDTH)[1:]
    # Where nothing has a price there is one reason, which stands below the table.
    told = [quote.reason if trusted or quote.verdict != NO_PRICE else ""]
    if trusted and quote.verdict == NO_PRICE and quote.takeable:
        told.insert(0, quote.name)
    if quote.verdict not in {NOT_YET, NO_PRICE}:
        full = f"full first: {quote.fullest}" if quote.fullest and not known else ""
        told = [quote.name if quote.takeable else "", cost_of(quote), *told, full]
    if also:
        told.append(f"the same for: {'; '.join(each.what for each in also)}")
    line = " · ".join(part for part in told if part)
    return [INDENT + part for part in [*lines, *(wrapped(line, width() - len(INDENT)) if line else ())]]


def _unplanned(finding: Finding) -> list[str]:
    """
    Return why there is no index among the moves, where the database was asked and would not plan the statement.
    """
    if finding.bottleneck is None or not finding.bottleneck.statement or not finding.server or finding.plan is not None:
        return []
    said = next((each.text for each in finding.evidence if each.what == "plan"), "no plan")
    return [labelled("Not seen", f"{said}. Without a plan no index can be priced."), ""]


def _simulated(finding: Finding) -> list[str]:
    """
    Return how well the twin reproduces the recording, or that it was not asked; and what the columns mean.
    """
    simulated = finding.simulated
    if finding.bottleneck is None:
        return []
    if not simulated.trusted:
        return [labelled("No price", f"{reason_of(simulated)}."), ""]
    of_route = [miss for miss in simulated.misses if miss.route == finding.route]
    shares = zip(PERCENTILES, of_route[0].shares, strict=True)
    missed = ", ".join(f"p{percent} {show_change(share)}" for percent, share in shares)
    return [
        labelled(
            "Simulated",
            f"Run again as it was recorded, that route comes out off by: {missed}. The prices are set right by that, "
            "and their ranges hold it.",
            *simulated.notes,
            "Full at: requests/s, over all routes, at which something is full.",
        ),
        "",
    ]


def _next(look: Look, chosen: Quote | None) -> str:
    if chosen is not None and chosen.takeable:
        unsure = "      (without a price; or record again, for longer)" if chosen.predicted is None else ""
        return f"rung take {short_name(chosen, look.quotes)}{unsure}"
    if chosen is not None:
        return f"change it by hand, record again, then: rung confirm {look.finding.recording} THE_NEW_ONE"
    if look.finding.bottleneck is None:
        return "nothing to take: the goal holds"
    if unasked(look.finding):
        return "rung price --database postgresql://you@localhost/yourdb      (an index takes the database's own plans)"
    return "rung find      (the bottleneck, and what can be done by hand)"

"""
Ask whether the planner uses the index that was taken.

In        the quote that was taken
Out       what the server counted of its indexes; nothing where none was built, or the server cannot be asked
Not here  whether the number moved (confirm), dropping it again (take's undo)

An index counts its scans from when it was built, so what it was used for is what came after the change.
"""

from __future__ import annotations

from rung.ports import IndexUse, IndexUsed, Step
from rung.steps.price.quote import Quote
from rung.units import show_count

__all__ = ["IndexUsed", "use_of", "use_words"]


def use_of(quote: Quote) -> Step[tuple[IndexUsed, ...]]:
    """
    Return what the server counted of each index that *quote* built.
    """
    found = []
    for plan in (quote.plan, *quote.beside) if quote.plan is not None else ():
        answer = yield IndexUse(plan.index.schema, plan.name)
        if isinstance(answer, IndexUsed):
            found.append(answer)
    return tuple(found)


def use_words(used: IndexUsed) -> str:
    """
    Return as a sentence whether an index serves anything.
    """
    if not used.there:
        return f"{used.name} is not there: it has not been built here, or was dropped"
    if not used.valid:
        return f"{used.name} is invalid, so no plan may use it: its build failed half-way"
    if not used.scans:
        return f"{used.name} is not used: no plan has chosen it since it was built"
    return f"{used.name} is used: {show_count(used.scans)} scans since it was built"

"""
Keep score of the predictions: how far off they were, and how often the interval of 80 % held, by kind of move.

In        the ledger's entries
Out       a Record for each kind of move that was confirmed
Not here  the ledger (ledger.py), what a price makes of it (price/predict.py)

What is scored is the ratio, after as a share of before: confirming has a before of its own, measured beside its after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rung.steps.confirm import TOO_LITTLE
from rung.steps.confirm.ratio import normal
from rung.steps.find.finding import Interval
from rung.steps.ledger import Entry
from rung.steps.price.quote import Record, kind_of

ALL = "all"


def record_of(entries: Sequence[Entry]) -> Mapping[str, Record]:
    """
    Return the record of each kind of move that was confirmed, by kind.
    """
    scored = [(kind_of(entry.quote.name), *told) for entry in entries if (told := _scored(entry)) is not None]
    return {
        kind: _record(kind, [told for name, *told in scored if name == kind])
        for kind in sorted({name for name, *_ in scored})
    }


def record_of_all(entries: Sequence[Entry]) -> Record | None:
    """
    Return the record over all kinds together, None where nothing was confirmed.
    """
    scored = [list(told) for entry in entries if (told := _scored(entry)) is not None]
    return _record(ALL, scored) if scored else None


def wilson(held: int, of: int, confidence: float = 0.95) -> Interval:
    """
    Return the share that held with its binomial interval.

    >>> interval = wilson(8, 10)
    >>> round(interval.low, 2), interval.value, round(interval.high, 2)
    (0.49, 0.8, 0.94)

    Source: Wilson 1927.
    """
    assert 0 <= held <= of
    share, z = held / of, normal(confidence)
    middle, width = share + z**2 / (2 * of), z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    scale = 1 + z**2 / of
    # The share itself is inside, whatever the last digit of a float says.
    return Interval(share, min((middle - width) / scale, share), max((middle + width) / scale, share))


def _scored(entry: Entry) -> tuple[float, bool] | None:
    """
    Return predicted over measured, and whether the interval held; None where there is nothing to score.
    """
    promised, verdict = entry.quote.ratio, entry.verdict
    if promised is None or verdict is None or verdict.ratio is None or verdict.verdict == TOO_LITTLE:
        return None
    measured = verdict.ratio.value
    error = promised.value / measured if measured > 0 else 0.0
    if not (0 < error < math.inf):
        return None
    return error, promised.low <= measured <= promised.high


def _record(kind: str, scored: Sequence[Sequence[float]]) -> Record:
    errors = np.array([error for error, _ in scored])
    held = sum(bool(each) for _, each in scored)
    low, middle, high = np.exp(np.quantile(np.log(errors), (0.25, 0.5, 0.75))).tolist()
    return Record(
        kind=kind,
        confirmed=len(errors),
        error=Interval(middle, low, high),
        missed=float(np.sqrt(np.mean(np.log(errors) ** 2))),
        held=held,
        coverage=wilson(held, len(errors)),
    )

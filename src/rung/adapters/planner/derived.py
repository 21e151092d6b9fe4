"""
Foresee what ANALYZE would find of an expression, from what it found of the columns in it.

Known values of a column, each with the share of rows that it stands for, were put through the expression.  Equal
results add up, as they do in ANALYZE's sample; how many more there are than were met is estimated as it does it.

In        results, in the order of what they came from, with shares; how different the columns are
Out       shares of null and of common results, bounds between the others, how many differ, their order on disk
Not here  putting values through an expression (expressions.py)

Sources: Haas and Stokes 1998 (Duj1) and PostgreSQL source, analyze.c (compute_scalar_stats).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COMMON_MAX = 100  # ANALYZE's default statistics target
# What ANALYZE asks of a share before it takes a value for a common one, beside the average one.
COMMON_FACTOR = 1.25
# How likely it may be that among all results one came as often by chance.
CHANCE_MAX = 0.05
# Above it Poisson's distribution is as good as a normal one, of which so many deviations are as rare.
EXPECTED_MAX = 50
DEVIATIONS = 4
# More different values than this share of the rows are told as a share of them, since they grow with these.
GROWING_SHARE = 0.1
# Of those that were met, this share has to have come again, or how many there are cannot be counted.
MET_AGAIN = 0.8


@dataclass(frozen=True, slots=True)
class Result:
    """
    What a known value became.

    Attributes:
        text: As PostgreSQL writes it; None for null.
        place: Where it stands among all results; equal ones have one place.
        sources: Where the value of each column that it came from stands among its like.
        share: Of the rows that it stands for.
        common: Whether it came from one of its column's most common values, whose share is exact.
    """

    text: str | None
    width_bytes: int
    place: int
    sources: tuple[int, ...]
    share: float
    common: bool


@dataclass(frozen=True, slots=True)
class Foreseen:
    """
    Statistics as pg_stats has them.
    """

    null_share: float
    width_bytes: int
    distinct: float
    common: tuple[str, ...]
    frequencies: tuple[float, ...]
    bounds: tuple[str, ...]
    correlation: float


def foreseen(
    results: Sequence[Result], *, rows: float, distinct_rest: float, correlations: Sequence[float]
) -> Foreseen | None:
    """
    Return the statistics of an expression; None where nothing is known of it.

    Args:
        rows: Of the table.
        distinct_rest: How many different results those of no common value have (rest_of()).
        correlations: Of its columns with the order on disk.
    """
    whole = sum(result.share for result in results)
    if whole <= 0 or rows < 1:
        return None
    nulls = sum(result.share for result in results if result.text is None) / whole
    there = [result for result in results if result.text is not None]
    if not there:
        return Foreseen(1.0, 0, 0.0, (), (), (), 0.0)
    shares: defaultdict[int, float] = defaultdict(float)
    for result in there:
        shares[result.place] += result.share / whole
    of_rest = {result.place for result in there if not result.common}
    distinct = max(distinct_rest + len(shares.keys() - of_rest), float(len(shares)))
    distinct = min(distinct, max(rows * (1 - nulls), 1.0))
    met = Counter(result.place for result in there if not result.common)
    if distinct <= COMMON_MAX and len(shares) >= distinct - 0.5:
        chosen = _evened(shares, met)
        held = set(chosen)
    else:
        chosen = dict(shares)
        held = _common(there, shares, met, distinct, average=(1 - nulls) / distinct)
    texts = {result.place: result.text for result in there if result.text is not None}
    common = sorted(held, key=lambda place: (-chosen[place], place))[:COMMON_MAX]
    return Foreseen(
        null_share=nulls,
        width_bytes=max(round(sum(one.width_bytes * one.share for one in there) / (whole * (1 - nulls))), 1),
        distinct=distinct if distinct <= GROWING_SHARE * rows else -distinct / rows,
        common=tuple(texts[place] for place in common),
        frequencies=tuple(chosen[place] for place in common),
        bounds=_bounds([result for result in there if result.place not in set(common)]),
        # It lies there as the column does with which it goes best.
        correlation=max(
            (
                _correlation([(one, one.sources[number]) for one in there], shares, correlation, distinct)
                for number, correlation in enumerate(correlations)
            ),
            key=abs,
        ),
    )


def _evened(shares: dict[int, float], met: Counter[int]) -> dict[int, float]:
    """
    Return shares, all alike where what was met differs no more than chance makes it.
    """
    count, times = len(shares), sum(met.values())
    if set(met) != set(shares) or count < 2:
        return dict(shares)
    expected = times / count
    differing = sum((met[place] - expected) ** 2 / expected for place in shares)
    # Pearson's statistic has as many degrees of freedom, and twice that for variance.
    if differing > (count - 1) + 2 * math.sqrt(2 * (count - 1)):
        return dict(shares)
    return dict.fromkeys(shares, sum(shares.values()) / count)


def _common(
    there: Iterable[Result], shares: dict[int, float], met: Counter[int], distinct: float, *, average: float
) -> set[int]:
    exact = {result.place for result in there if result.common}
    expected = sum(met.values()) / distinct
    return {
        place
        for place, share in shares.items()
        if (place in exact and share > average)
        or (share > COMMON_FACTOR * average and _chance(met[place], expected) * distinct < CHANCE_MAX)
    }


def _chance(times: int, expected: float) -> float:
    """
    Return how likely it is that something comes so often or oftener that is *expected* to come less often.
    """
    if expected > EXPECTED_MAX:
        return 0.0 if times > expected + DEVIATIONS * math.sqrt(expected) else 1.0
    fewer = sum(math.exp(number * math.log(expected) - expected - math.lgamma(number + 1)) for number in range(times))
    return max(1 - fewer, 0.0)


def _bounds(results: Sequence[Result]) -> tuple[str, ...]:
    """
    Return results that part the rows into equal shares, the least and the greatest at the ends.
    """
    ordered = sorted(results, key=lambda result: result.place)
    if len({result.place for result in ordered}) < 2:
        return ()
    whole = sum(result.share for result in ordered)
    count = min(COMMON_MAX, len(ordered) - 1)
    bounds, reached, at = [], 0.0, 0
    for number in range(count):
        while at < len(ordered) - 1 and reached + ordered[at].share <= number * whole / count:
            reached += ordered[at].share
            at += 1
        bounds.append(ordered[at].text or "")
    return (*bounds, ordered[-1].text or "")


def rest_of(
    results: Sequence[Result], *, rows: float, source_distinct: float, sources: Sequence[str] = (), dense: bool = False
) -> float:
    """
    Return how many different results those of no common value have.

    Args:
        rows: That have no common value.
        source_distinct: How many different values these have in the columns.
        sources: The known values of a column of texts, as they came; the alphabets of results are held against theirs.
        dense: Whether values that lie between the known ones are among these, as closely as they are in the column.
    """
    there = [result for result in results if not result.common and result.text is not None]
    if not there:
        return 0.0
    met = Counter(result.place for result in there)
    differing = len({result.sources for result in there})
    if dense:
        count = source_distinct * len(met) / differing
    elif len(met) >= differing:
        # As different as what they came from, as far as can be seen.
        count = source_distinct
    else:
        lone, times = sum(1 for number in met.values() if number == 1), len(there)
        count = times * len(met) / (times - lone + lone * times / max(rows, times))
    texts = [result.text for result in results if result.text is not None]
    if sources:
        wide, narrow = spellings(sources), spellings(texts)
        # If the alphabets that were seen do not even spell what there is, some was not seen.
        unseen = max(source_distinct / wide, 1.0) if narrow > MET_AGAIN * wide else 1.0
        count = min(count, narrow * unseen)
    return max(min(count, source_distinct), float(len(met)))


def spellings(texts: Iterable[str]) -> float:
    """
    Return how many texts of the same lengths can be spelt with the letters seen at each place.

    >>> spellings(["t1", "t2", "t10", "t21"])
    6.0
    """
    by_length: defaultdict[int, list[set[str]]] = defaultdict(list)
    for text in texts:
        letters = by_length[len(text)]
        for place, letter in enumerate(text):
            if place == len(letters):
                letters.append(set())
            letters[place].add(letter)
    return float(sum(math.prod(min(len(seen), 1000) for seen in letters[:64]) for letters in by_length.values()))


def _correlation(
    there: Sequence[tuple[Result, int]], shares: dict[int, float], correlation: float, distinct: float
) -> float:
    """
    Return how the order of results goes with that on disk, by a column of which each has a place.

    Rows of one result stand in the order on disk, as ANALYZE counts them: of k equally common results spread at
    random, it finds 1/k.  Between results the column's own correlation holds, as far as they go with the column.
    """
    whole = sum(shares.values())
    own = _middles(shares, whole)
    of_column: defaultdict[int, float] = defaultdict(float)
    for result, at in there:
        of_column[at] += result.share
    total = sum(of_column.values())
    theirs = _middles(of_column, total)
    alike = 12 / total * sum(result.share * own[result.place] * theirs[at] for result, at in there)
    drawn = [result.share for result, _ in there if not result.common]
    if drawn and abs(alike) < 2 * sum(drawn) / total / math.sqrt(len(drawn)):
        alike = 0.0  # two deviations of what chance makes it
    within: defaultdict[int, float] = defaultdict(float)
    parts: defaultdict[int, float] = defaultdict(float)
    for result, at in there:
        parts[result.place] += result.share
        within[result.place] += result.share * theirs[at]
    between = min(12 / total * sum(sum_of**2 / parts[place] for place, sum_of in within.items()), 1.0)
    # More results than were met share their parts.
    tied = sum((share / whole) ** 2 for share in shares.values()) * min(len(shares) / distinct, 1.0)
    # The same has been counted into the column's own correlation.
    theirs_tied = min(sum(result.share**2 for result, _ in there if result.common), 0.99)
    correlation = max(min((correlation - theirs_tied) / (1 - theirs_tied), 1.0), -1.0)
    loose = math.sqrt(max(1 - correlation**2 * between, 0.0))
    return max(min(correlation * alike + tied * loose, 1.0), -1.0)


def _middles(shares: dict[int, float], whole: float) -> dict[int, float]:
    """
    Return where the middle of each place's rows lies, all rows reaching from -1/2 to 1/2.
    """
    middles, reached = {}, 0.0
    for place in sorted(shares):
        part = shares[place] / whole if whole else 0.0
        middles[place] = reached + part / 2 - 0.5
        reached += part
    return middles

"""
Index advisors of others, their rules and searches written anew over one what-if layer.

In        a Priced workload, a budget in bytes or None
Out       indexes
Not here  how costs are known (priced.py), judging (judged.py), ours (ours.py)

Sources
    postgres-mcp  crystaldba/postgres-mcp, src/postgres_mcp/index/dta_calc.py (its rules as of 2026)
    Dexter        ankane/dexter, lib/dexter/indexer.rb
    Extend        Schlosser, Kossmann, Boissier: Efficient scalable multi-attribute index selection using recursive
                  strategies, ICDE 2019
    DTA           Chaudhuri, Narasayya: Anytime algorithm of Database Tuning Advisor for Microsoft SQL Server, 2020
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, permutations

from benchmarks.advisor.priced import NONE, Indexes, Priced
from rung.ports import Index, IndexColumn

Search = Callable[[Priced, int | None], tuple[Index, ...]]

MCP_WIDTH_MAX = 3
MCP_ALPHA = 2.0
MCP_GAIN_MIN = 0.1
MCP_TEXT_WIDTH_MAX = 40

DEXTER_COST_MIN = 100.0
DEXTER_SHARE_MAX = 0.5

EXTEND_WIDTH_MAX = 4
DTA_WIDTH_MAX = 3
DTA_MERGED_WIDTH_MAX = 4
DTA_COLUMNS_MAX = 5  # of a table in a statement, for which columns are tried in threes
DTA_SEEDS = 3
# Both papers' searches end when nothing is 0.3 % better, as in Kossmann et al., VLDB 2020.
IMPROVEMENT_MIN = 1.003


def plain(table: str, columns: Iterable[str]) -> Index:
    """
    Return an ascending index.
    """
    return Index("public", table, tuple(IndexColumn(name) for name in columns))


def names_of(index: Index) -> tuple[str, ...]:
    """
    Return the names of an index's columns.
    """
    return tuple(column.name for column in index.columns)


def fits(workload: Priced, indexes: Indexes, budget_bytes: int | None) -> bool:
    """
    Return whether *indexes* stay within the budget.
    """
    return budget_bytes is None or workload.size_bytes(indexes) <= budget_bytes


def postgres_mcp(workload: Priced, budget_bytes: int | None) -> tuple[Index, ...]:
    """
    Greedy over combinations of up to three columns, one order of each: of all that gain a tenth, the fastest.

    An index is only taken if log(cost) + 2 log(bytes of tables and indexes) falls.  Which order a set of columns
    has is chance there; here it is the one in which the statements name them.
    """
    columns: dict[str, dict[str, None]] = {}
    for used in workload.used:
        for each in used:
            kind, width = workload.facts.columns[each.table][each.column]
            if each.condition and not (_long_text(kind) and width > MCP_TEXT_WIDTH_MAX):
                columns.setdefault(each.table, {})[each.column] = None
    candidates = [
        plain(table, chosen)
        for table, names in columns.items()
        for width in range(1, MCP_WIDTH_MAX + 1)
        for chosen in combinations(names, width)
        if (table, chosen) not in workload.facts.existing
    ]
    base_bytes = sum(workload.facts.size_bytes[table] for table in columns)
    taken: Indexes = NONE
    cost = workload.begin()
    objective = _objective(cost, base_bytes)
    while True:
        trials = [taken | {each} for each in candidates if each not in taken]
        trials = [trial for trial in trials if fits(workload, trial, budget_bytes)]
        best, best_cost, best_objective = taken, cost, objective
        for trial, trial_cost in zip(trials, workload.totals(trials), strict=True):
            if (cost - trial_cost) / cost < MCP_GAIN_MIN:
                continue
            trial_objective = _objective(trial_cost, base_bytes + workload.size_bytes(trial))
            if trial_objective < best_objective and trial_cost < best_cost:
                best, best_cost, best_objective = trial, trial_cost, trial_objective
        if best == taken:
            return _sorted(taken)
        taken, cost, objective = best, best_cost, best_objective


def _long_text(kind: str) -> bool:
    limit = kind.partition("(")[2].rstrip(")")
    return kind == "text" or (kind.startswith("character") and (not limit or int(limit) > 100))


def _objective(cost: float, size_bytes: int) -> float:
    return math.log(cost) + MCP_ALPHA * math.log(size_bytes)


def dexter(workload: Priced, budget_bytes: int | None) -> tuple[Index, ...]:
    """
    For each statement by itself: all indexes of one column, then all of two; taken where they halve its cost.

    It knows no budget; here statements take theirs in the order of what they save, as long as there is room.
    """
    workload.begin()
    suggested: dict[Index, float] = {}
    for place, statement in enumerate(workload.statements):
        singles, pairs = _dexters_candidates(workload, place)
        costs = [workload.cost(place, each) for each in (NONE, singles, singles | pairs)]
        if costs[0] < DEXTER_COST_MIN:
            continue
        halves = costs[1] < DEXTER_SHARE_MAX * costs[0]
        halves_again = costs[1] > DEXTER_COST_MIN and costs[2] < DEXTER_SHARE_MAX * costs[1]
        found = workload.in_plan(place, singles | pairs if halves_again else singles)
        if halves_again and len(found) > 1:
            found, halves_again = workload.in_plan(place, singles), False
        if len(found) > 1:  # each alone; the one that does best is kept
            alone = {index: workload.cost(place, frozenset({index})) for index in _sorted(found)}
            winner = min(alone, key=alone.__getitem__)
            halves, found = alone[winner] < DEXTER_SHARE_MAX * costs[0], frozenset({winner})
        if halves or halves_again:
            saved = statement.executions * (costs[0] - costs[2 if halves_again else 1])
            for index in found:
                suggested[index] = suggested.get(index, 0.0) + saved
    covered = {(index.table, names_of(index)[:1]) for index in suggested if len(index.columns) > 1}
    taken: Indexes = NONE
    for index in sorted(suggested, key=lambda each: (-suggested[each], repr(each))):
        if (index.table, names_of(index)) not in covered and fits(workload, taken | {index}, budget_bytes):
            taken |= {index}
    return _sorted(taken)


def _dexters_candidates(workload: Priced, place: int) -> tuple[Indexes, Indexes]:
    """
    Return indexes of one and of two of a statement's columns; Dexter also has those of others, which serve it less.
    """
    begun = {(table, names[:width]) for table, names in workload.facts.existing for width in (1, 2)}
    columns: dict[str, dict[str, None]] = {}
    for each in workload.used[place]:
        columns.setdefault(each.table, {})[each.column] = None
    singles, pairs = (
        frozenset(
            plain(table, chosen)
            for table, names in columns.items()
            for chosen in permutations(names, width)
            if (table, chosen) not in begun
        )
        for width in (1, 2)
    )
    return singles, pairs


def extend(workload: Priced, budget_bytes: int | None) -> tuple[Index, ...]:
    """
    Add an index of one column, or a column to the end of an index: each time what saves most for a byte more.
    """
    columns = _relevant(workload)
    singles = [plain(table, (name,)) for table, names in columns.items() for name in names]
    singles = [each for each in singles if (each.table, names_of(each)) not in workload.facts.existing]
    taken: Indexes = NONE
    cost = workload.begin()
    while True:
        trials = [taken | {each} for each in singles if each not in taken]
        trials += [
            (taken - {index}) | {plain(index.table, (*names_of(index), name))}
            for index in _sorted(taken)
            if len(index.columns) < EXTEND_WIDTH_MAX
            for name in columns[index.table]
            if name not in names_of(index)
        ]
        trials = [trial for trial in trials if fits(workload, trial, budget_bytes)]
        size_bytes = workload.size_bytes(taken)
        best, best_ratio, best_cost = taken, 0.0, cost
        for trial, trial_cost in zip(trials, workload.totals(trials), strict=True):
            if cost < trial_cost * IMPROVEMENT_MIN:
                continue
            more_bytes = workload.size_bytes(trial) - size_bytes
            ratio = (cost - trial_cost) / more_bytes if more_bytes > 0 else math.inf
            if ratio > best_ratio:
                best, best_ratio, best_cost = trial, ratio, trial_cost
        if best == taken:
            return _sorted(taken)
        taken, cost = best, best_cost


def _relevant(workload: Priced) -> dict[str, list[str]]:
    columns: dict[str, dict[str, None]] = {}
    for used in workload.used:
        for each in used:
            if each.condition or each.group:
                columns.setdefault(each.table, {})[each.column] = None
    return {table: list(names) for table, names in columns.items()}


def dta(workload: Priced, budget_bytes: int | None) -> tuple[Index, ...]:
    """
    What each statement's plan uses when it may have any index is merged in pairs, and searched greedily.

    The search is repeated from the indexes that do best alone; it is not cut off by time here.
    """
    workload.begin()
    candidates = _merged(_useful(workload))
    candidates = [each for each in candidates if (each.table, names_of(each)) not in workload.facts.existing]
    candidates = [each for each in candidates if fits(workload, frozenset({each}), budget_bytes)]
    alone = workload.totals([frozenset({each}) for each in candidates])
    seeds = [candidates[place] for place in sorted(range(len(candidates)), key=alone.__getitem__)[:DTA_SEEDS]]
    found = [_greedy(workload, seed, candidates, budget_bytes) for seed in (NONE, *(frozenset({s}) for s in seeds))]
    totals = workload.totals(found)
    return _sorted(found[min(range(len(found)), key=totals.__getitem__)])


def _useful(workload: Priced) -> list[Index]:
    useful: dict[Index, None] = {}
    for place, used in enumerate(workload.used):
        columns: dict[str, list[str]] = {}
        for each in used:
            if each.condition or each.group:
                columns.setdefault(each.table, []).append(each.column)
        possible = frozenset(
            plain(table, chosen)
            for table, names in columns.items()
            for width in range(1, 1 + (DTA_WIDTH_MAX if len(names) <= DTA_COLUMNS_MAX else 2))
            for chosen in permutations(names, width)
        )
        useful.update(dict.fromkeys(_sorted(workload.in_plan(place, possible))))
    return list(useful)


def _merged(indexes: Sequence[Index]) -> list[Index]:
    merged = dict.fromkeys(indexes)
    for first, second in permutations(indexes, 2):
        names = (*names_of(first), *(name for name in names_of(second) if name not in names_of(first)))
        if first.table == second.table and len(names) <= DTA_MERGED_WIDTH_MAX:
            merged[plain(first.table, names)] = None
    return list(merged)


def _greedy(workload: Priced, seed: Indexes, candidates: Sequence[Index], budget_bytes: int | None) -> Indexes:
    taken, cost = seed, workload.totals([seed])[0]
    while True:
        trials = [taken | {each} for each in candidates if each not in taken]
        trials = [trial for trial in trials if fits(workload, trial, budget_bytes)]
        totals = workload.totals(trials)
        best = min(range(len(trials)), key=totals.__getitem__, default=None)
        if best is None or cost < totals[best] * IMPROVEMENT_MIN:
            return taken
        taken, cost = trials[best], totals[best]


def _sorted(indexes: Iterable[Index]) -> tuple[Index, ...]:
    return tuple(sorted(indexes, key=repr))


SEARCHES: dict[str, Search] = {"Dexter": dexter, "Extend": extend, "DTA": dta, "postgres-mcp": postgres_mcp}

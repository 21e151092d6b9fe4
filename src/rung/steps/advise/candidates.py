"""
Think of indexes: for what a plan looks up in a table, those that could be worth asking the planner about.

A btree is read as one run of neighbours: columns that are fixed come first, in any order, then those that rows are
sorted by, or one compared with a range.  Which order the fixed ones take is searched: what other statements look up
too comes first, so that one index serves several.

In        how statements look up a table (Access), the Table
Out       indexes: first their keys alone, then carrying columns along or leaving rows out
Not here  what they cost and bring (select.py), which the twin would refuse
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from rung.ports import Index, IndexColumn, Table, TableColumn
from rung.steps.advise.access import Access, Fixed, Key

KEYS_MAX = 5
SHAPES_MAX = 32
ORDERS_MAX = 4
RANGES_MAX = 3
PARTIAL_FIRST_MAX = 2
INCLUDE_MAX = 8
INCLUDE_BYTES_MAX = 256  # a wider index is read like the table itself
KEY_BYTES_MAX = 1000  # PostgreSQL refuses an entry of more than a third of a page
# Of rows that a partial index would leave out: fewer are not worth a predicate.
LEFT_OUT_MIN = 0.05
# Where the statement does not say it itself, but a comparison implies it: then nulls must be most of the column.
LEFT_OUT_UNSAID_MIN = 0.5
# No btree operators, or none that a lookup uses.
UNSUITED = ("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "tsvector", "tsquery")
_MODIFIER = re.compile(r"\(.*\)")
Keys = tuple[Key, ...]


class Lookups:
    """
    Which columns statements fix in one table, and how much those statements weigh.
    """

    def __init__(self, table: Table, found: Iterable[tuple[Access, float]]) -> None:
        self.table = table
        self.sets: dict[frozenset[str], float] = {}
        for access, weight in found:
            names = frozenset(key.name for key in access.equal)
            if names:
                self.sets[names] = self.sets.get(names, 0.0) + weight

    def orders(self, keys: Keys) -> list[Keys]:
        """
        Return the orders of fixed *keys* that are worth trying, the most shared first.
        """
        names = frozenset(key.name for key in keys)
        weights = {name: sum(weight for each, weight in self.sets.items() if name in each) for name in names}

        def rank(key: Key) -> tuple[float, float, str]:
            return -weights[key.name], -self._distinct(key.name), key.name

        usual = sorted(keys, key=rank)
        orders = {tuple(usual): None}
        others = sorted(self.sets.items(), key=lambda each: (-each[1], sorted(each[0])))
        for other, _ in others:
            common = names & other
            if common and common != names:
                orders[tuple(sorted(usual, key=lambda key: key.name not in common))] = None
        # PostgreSQL 18 skips over the values of a leading column of few.
        orders[tuple(sorted(usual, key=lambda key: -self._distinct(key.name)))] = None
        return list(orders)[:ORDERS_MAX]

    def _distinct(self, name: str) -> float:
        column = next((column for column in self.table.columns if column.name == name), None)
        if column is None:
            return 0.0
        return column.distinct if column.distinct >= 0 else -column.distinct * self.table.rows


def shapes(access: Access, table: Table, lookups: Lookups) -> tuple[Index, ...]:
    """
    Return indexes of keys alone that *access* could use, leaving out what an existing one begins with.
    """
    kept: dict[Index, None] = {}
    for keys in _key_lists(access, lookups):
        index = _index(table, keys)
        if index is not None and not _served(index, table):
            kept[index] = None
    return tuple(kept)[:SHAPES_MAX]


def first_asked(access: Access, table: Table, lookups: Lookups) -> tuple[Index, ...]:
    """
    Return the indexes to begin with: those of keys alone, and the likeliest of them over fewer rows.

    What a statement fixes without a value may leave out so much that it is worth an index only together.
    """
    plain = shapes(access, table, lookups)
    partial = [_partial(index, access, table) for index in plain[:PARTIAL_FIRST_MAX]]
    return tuple(dict.fromkeys([*plain, *(index for index in partial if index is not None)]))


def extended(index: Index, access: Access, table: Table) -> tuple[Index, ...]:
    """
    Return *index* carrying along all that *access* reads, and leaving out rows that it never wants.
    """
    partial = _partial(index, access, table)
    made = [_covering(index, access, table), partial, _covering(partial, access, table) if partial else None]
    return tuple(dict.fromkeys(each for each in made if each is not None and not _served(each, table)))


def merged(one: Index, other: Index) -> Index | None:
    """
    Return an index that serves what *one* does and carries along what *other* has; None where that is no gain.

    Source: Chaudhuri & Narasayya 1999, Index Merging: the order of the first is kept.
    """
    if one == other or (one.schema, one.table, one.where) != (other.schema, other.table, other.where):
        return None
    names = {column.name for column in one.columns if not column.expression}
    more = [column.name for column in other.columns if not column.expression and column.name not in names]
    more += [name for name in other.include if name not in names]
    include = tuple(dict.fromkeys((*one.include, *more)))
    if include == one.include or len(include) > INCLUDE_MAX or any(column.expression for column in other.columns):
        return None
    return Index(one.schema, one.table, one.columns, include, one.where)


def relevant(index: Index, access: Access) -> bool:
    """
    Return whether *access* could begin to use *index*: by what its first column is looked up or sorted.
    """
    first = index.columns[0].name
    lists = (*access.ranged, *access.joined, *access.arms, *access.sorted, *access.grouped)
    keys = (*access.equal, *access.among, *access.extremes, *(key for each in lists for key in each))
    return any(first in {key.name, key.cast_of} for key in keys)


def _key_lists(access: Access, lookups: Lookups) -> Iterator[Keys]:
    """
    Give lists of keys, the likeliest first.
    """
    equal = _leads(access, lookups) if access.equal else [()]
    # Of rows sorted by what is fixed nothing is left to sort.
    by = [keys for each in (*access.sorted, *access.grouped) if (keys := _without(each, access.equal))]
    by += [(key,) for key in access.extremes]
    leads: list[Keys] = [*equal]
    for group in access.joined:
        leads += [equal[0] + group, group + equal[0]]
    some = access.among
    for lead in leads:
        yield from (lead + keys for keys in by)
        if some:
            yield lead + some
            yield some + lead
            yield from (lead + keys + some for keys in by)
        yield lead
        for ranged in access.ranged[:RANGES_MAX]:
            yield lead + ranged
            yield from (lead + keys + ranged for keys in by)
            if some:
                yield lead + some + ranged
    yield from access.arms
    yield from (keys + arm for keys in equal[:1] for arm in access.arms)
    yield from by
    yield from access.ranged


def _leads(access: Access, lookups: Lookups) -> list[Keys]:
    """
    Return orders of all that is fixed, then fewer of it: narrower indexes, which may be enough.
    """
    orders = lookups.orders(access.equal)
    pinned = {name for fixed in access.fixed if fixed.pins for name in fixed.columns}
    by_value = tuple(key for key in orders[0] if key.name not in pinned)
    fewer = [orders[0][:count] for count in range(len(access.equal) - 1, 0, -1)]
    fewer += [(key,) for key in by_value]
    return list(dict.fromkeys(keys for keys in (*orders, by_value, *fewer) if keys))


def _without(keys: Keys, fixed: Keys) -> Keys:
    names = {key.name for key in fixed}
    return tuple(key for key in keys if key.name not in names)


def _index(table: Table, keys: Keys) -> Index | None:
    """
    Return the index of *keys*, each once; None where there is none or one cannot be a key.
    """
    columns: dict[str, IndexColumn] = {}
    types = {column.name: column for column in table.columns}
    width_bytes = 0
    for key in keys:
        column = _column(key, types)
        if column is None:
            return None
        if column.name not in columns:
            columns[column.name] = column
            width_bytes += types[column.name].width_bytes if column.name in types else 0
    if not columns or width_bytes > KEY_BYTES_MAX:
        return None
    return Index(table.schema, table.name, tuple(columns.values())[:KEYS_MAX])


def _column(key: Key, types: Mapping[str, TableColumn]) -> IndexColumn | None:
    name, expression = key.name, key.expression
    if key.cast_of in types and _unchanged(types[key.cast_of].type, name):
        name, expression = key.cast_of, False
    if not expression and (name not in types or types[name].type.startswith(UNSUITED)):
        return None
    return IndexColumn(name, key.descending, key.nulls_first, expression, key.opclass)


def _unchanged(type_of_column: str, cast: str) -> bool:
    """
    Return whether a column with a *cast* is compared as it is, so that its own index serves.

    PostgreSQL writes a varchar's to text, and a domain's to the type below it.

    >>> _unchanged("numeric(10,2)", "(price)::numeric"), _unchanged("integer", "(amount)::bigint")
    (True, False)
    """
    below = _MODIFIER.sub("", type_of_column)
    return cast.endswith(f"::{below}") or (below == "character varying" and cast.endswith("::text"))


def _served(index: Index, table: Table) -> bool:
    """
    Return whether an existing index begins with *index* and carries what it carries.
    """
    for existing in table.indexes:
        if index.where and existing.where != index.where:
            continue
        names = {column.name for column in existing.columns} | set(existing.include)
        if existing.columns[: len(index.columns)] == index.columns and set(index.include) <= names:
            return True
    return False


def _covering(index: Index, access: Access, table: Table) -> Index | None:
    if access.needed is None:
        return None
    keys = {column.name for column in index.columns if not column.expression}
    include = tuple(column for column in table.columns if column.name in access.needed - keys)
    width_bytes = sum(column.width_bytes for column in include)
    if not include or len(include) > INCLUDE_MAX or width_bytes > INCLUDE_BYTES_MAX:
        return None
    return Index(index.schema, index.table, index.columns, tuple(column.name for column in include), index.where)


def _partial(index: Index, access: Access, table: Table) -> Index | None:
    """
    Return *index* over the rows that *access* wants in any execution, without the keys that are then fixed.
    """
    fixed = [each for each in access.fixed if _leaves_out(each, table, LEFT_OUT_MIN)]
    fixed += [each for each in access.implied if _leaves_out(each, table, LEFT_OUT_UNSAID_MIN)]
    if not fixed:
        return None
    pinned = {name for each in fixed if each.pins for name in each.columns}
    columns = tuple(column for column in index.columns if column.name not in pinned) or index.columns[:1]
    where = fixed[0].text if len(fixed) == 1 else " AND ".join(f"({each.text})" for each in fixed)
    return Index(index.schema, index.table, columns, index.include, where)


def _leaves_out(fixed: Fixed, table: Table, least: float) -> bool:
    """
    Return whether the predicate leaves out enough rows, as far as the statistics tell without a value.
    """
    nulls = {column.name: column.null_share for column in table.columns}
    for name in fixed.columns:
        if fixed.text.endswith("IS NOT NULL"):
            return nulls.get(name, 0.0) >= least
        if fixed.text.endswith("IS NULL"):
            return 1.0 - nulls.get(name, 0.0) >= least
    return True

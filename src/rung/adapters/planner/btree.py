"""
Foresee how large and how high a btree will be, and make an empty one look that high.

In        its key columns, as the statistics describe them; how many rows the table has
Out       pages and height; the top of an index file of the planner twin, altered
Not here  what an index costs a plan (PostgreSQL's planner), which one to ask about (moves/index.py)

Sources: PostgreSQL documentation, 65.1.4 and 66.6; its source, nbtsort.c (a build fills leaves to 90 %
and inner pages to 70 %), nbtdedup.c (equal keys share one tuple), nbtree.h (the meta page).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 8192
ROOM_BYTES = 8152  # without the header of a page and what a btree keeps at its end
LEAF_FREE_BYTES = PAGE_BYTES // 10
INNER_FREE_BYTES = PAGE_BYTES * 3 // 10
TUPLE_HEADER_BYTES = 8
POINTER_BYTES = 4
ROW_ADDRESS_BYTES = 6
POSTING_BYTES_MAX = 812  # a build lets equal keys share at most a tenth of a page
# More columns than this hardly make keys alike that differ in these.
KEYS_APART_MAX = 4
META_MAGIC = 0x053162
META_AT = 24


@dataclass(frozen=True, slots=True)
class Key:
    """
    A key column.

    Attributes:
        distinct: Different values as pg_stats has them: a count, or negative a share of the rows; 0 if unknown.
        shares: Whether equal keys can share a tuple (not so for numeric or float, whose equals may differ).
        included: Whether it is carried along in the leaves and orders nothing.
        common: The share of rows that each of its most common values has.
        nulls: The share of rows without a value, which are all alike.
    """

    width_bytes: int
    align_bytes: int
    distinct: float
    shares: bool
    included: bool = False
    common: Sequence[float] = ()
    nulls: float = 0.0


def pages_of(keys: Sequence[Key], *, rows: float, of_rows: float | None = None) -> tuple[int, int]:
    """
    Return pages, the meta page among them, and height (0: the root is a leaf) after a build over *rows* rows.

    Args:
        of_rows: The rows of the whole table, where the index is to be on a part of it.

    >>> pages_of([Key(8, 8, -1.0, True)], rows=1_000_000)
    (2747, 2)
    """
    ordering = [key for key in keys if not key.included]
    inner_bytes = _inner_bytes(ordering, rows)
    leaf_bytes = ROOM_BYTES - LEAF_FREE_BYTES - inner_bytes  # the last key stands on each page once more
    entries_bytes = _entries_bytes(ordering, rows, max(of_rows or rows, rows), _tuple_bytes(keys))
    return _with_inner(max(math.ceil(entries_bytes / leaf_bytes), 1), inner_bytes)


def height_of(keys: Sequence[Key], *, pages: int) -> int:
    """
    Return the height of an index that has *pages* pages.
    """
    ordering = [key for key in keys if not key.included]
    rows = pages * (ROOM_BYTES - LEAF_FREE_BYTES) / (_tuple_bytes(keys) + POINTER_BYTES)
    return _with_inner(max(pages - 1, 1), _inner_bytes(ordering, rows))[1]


def _inner_bytes(keys: Sequence[Key], rows: float) -> float:
    """
    Return what an entry of an inner page takes: the columns by which a page's first key differs from the one before.

    Source: PostgreSQL source, nbtutils.c (_bt_truncate).
    """
    inner_bytes, differing, before = 0.0, 1.0, 0.0
    for count, key in enumerate(keys, start=1):
        values = key.distinct if key.distinct > 0 else -key.distinct * rows
        differing = min(differing * max(values, 1.0), max(rows, 1.0))
        # Two neighbours differ in these columns as often as there are different values of them.
        share = 1.0 if count == len(keys) else differing / max(rows, 1.0)
        inner_bytes += (share - before) * (_tuple_bytes(keys[:count]) + POINTER_BYTES)
        before = share
    return inner_bytes


def _with_inner(leaves: int, entry_bytes: float) -> tuple[int, int]:
    a_page = max(int((ROOM_BYTES - INNER_FREE_BYTES) / entry_bytes), 2)
    pages, level, height = leaves, leaves, 0
    while level > 1:
        level = -(-level // a_page)
        pages += level
        height += 1
    return pages + 1, height


def _tuple_bytes(keys: Sequence[Key]) -> int:
    data_bytes = 0
    for key in keys:
        data_bytes = _aligned(data_bytes, key.align_bytes) + key.width_bytes
    return _aligned(TUPLE_HEADER_BYTES + data_bytes, 8)


def _aligned(size_bytes: int, to_bytes: int) -> int:
    return -(-size_bytes // to_bytes) * to_bytes


def _entries_bytes(keys: Sequence[Key], rows: float, of_rows: float, tuple_bytes: int) -> float:
    """
    Return what all leaf entries take, equal keys sharing one as a build makes them.
    """
    entry_bytes = tuple_bytes + POINTER_BYTES
    # Where a column is unique, so are keys.
    if rows < 1 or any(key.distinct in {0, -1} or not key.shares for key in keys):
        return rows * entry_bytes
    # That each value of a column occurs is known where the index has all its rows, and no other column.
    all_occur = len(keys) == 1 and rows >= of_rows
    groups = [(1.0, 1.0)]
    for place, key in enumerate(keys):
        of_key = _groups(key, of_rows, apart=place < KEYS_APART_MAX)
        groups = [(values * count, share * part) for values, share in groups for count, part in of_key]
    return sum(
        _group_bytes(values, rows * share, tuple_bytes, all_occur=all_occur) for values, share in groups if share > 0
    )


def _groups(key: Key, rows: float, *, apart: bool) -> list[tuple[float, float]]:
    """
    Return how many values of a column are about as common as each other, and which share of the rows they have.

    The columns of an index are taken as independent, but not their values as equally common: a column of which nearly
    all rows have one value hardly adds to the different keys.
    """
    count = max(key.distinct if key.distinct > 0 else -key.distinct * rows, 1.0)
    if not apart:
        return [(count, 1.0)]
    bins: dict[int, tuple[float, float]] = {}
    for share in (*key.common, key.nulls):
        if share > 0:
            size = math.floor(math.log(share, 4))
            values, whole = bins.get(size, (0.0, 0.0))
            bins[size] = (values + 1, whole + share)
    rest = 1 - sum(share for _, share in bins.values())
    rare = count - len(key.common)
    return [*bins.values(), (max(rare, 1.0), max(rest, 0.0))] if rare >= 1 or not bins else list(bins.values())


def _group_bytes(values: float, rows: float, tuple_bytes: int, *, all_occur: bool) -> float:
    """
    Return what the entries of so many equally common values take, how often each occurs taken as Poisson's.
    """
    entry_bytes = tuple_bytes + POINTER_BYTES
    rate = rows / values
    if all_occur:
        if rate <= 1:
            return rows * entry_bytes
        # Among those that occur the mean is higher than the rate.
        each = rate
        for _ in range(50):
            rate = each * -math.expm1(-rate)
        values /= -math.expm1(-rate)
    lone = values * rate * math.exp(-rate)
    occurring = values * -math.expm1(-rate)
    shared_rows = max(rows - lone, 0.0)
    a_posting = max((POSTING_BYTES_MAX - tuple_bytes) // ROW_ADDRESS_BYTES, 2)
    postings = max(occurring - lone, 0.0) + shared_rows / a_posting * (rows > a_posting * occurring)
    # Half of what aligns an entry to 8 bytes.
    return lone * entry_bytes + postings * (entry_bytes + 3) + shared_rows * ROW_ADDRESS_BYTES


def raise_to_height(path: Path, height: int) -> None:
    """
    Make an empty index *height* levels high, and still empty.

    The planner reads the height from the meta page, and, for the ends of a column's range, goes down
    from the root: so there is one page a level, each pointing at the next, the last a leaf without rows.
    """
    with path.open("r+b") as file:
        file.seek(META_AT)
        magic, version = struct.unpack("=II", file.read(8))
        assert magic == META_MAGIC, f"no btree: {magic:x}, version {version}"
        root = 1
        file.write(struct.pack("=IIII", root, height, root, height))
        for level in range(height, -1, -1):
            place = root + height - level
            file.seek(place * PAGE_BYTES)
            file.write(_page(level, is_root=level == height, below=place + 1))


def _page(level: int, *, is_root: bool, below: int) -> bytes:
    """
    Return a page of a btree that is the only one of its level: empty, or with one pointer to *below*.

    Source: PostgreSQL source, bufpage.h, itemid.h, itup.h and nbtree.h.
    """
    end_bytes = PAGE_BYTES - 16
    # Less than every key: a pivot tuple with none of its attributes (INDEX_ALT_TID_MASK, 8 bytes long).
    pointer = b"" if level == 0 else struct.pack("=HHHH", below >> 16, below & 0xFFFF, 0, 0x2000 | 8)
    upper = end_bytes - len(pointer)
    item = b"" if level == 0 else struct.pack("=I", upper | 1 << 15 | len(pointer) << 17)
    header = struct.pack("=QHHHHHHI", 0, 0, 0, META_AT + len(item), upper, end_bytes, PAGE_BYTES | 4, 0)
    flags = (1 if level == 0 else 0) | (2 if is_root else 0)  # BTP_LEAF, BTP_ROOT
    special = struct.pack("=IIIHH", 0, 0, level, flags, 0)
    return (header + item).ljust(upper, b"\0") + pointer + special

"""
Read what a node of a plan held in memory, what it put on disk, and how much work_mem would have kept it off there.

In        one node of EXPLAIN's JSON, executed
Out       bytes; a Spill where it went to disk
Not here  what to do about it (moves/remedies.py)

What is on disk is smaller than what it would be in memory, so the need is worked out from rows and their width, with
what PostgreSQL keeps beside each row.
Source: PostgreSQL, tuplesort.c (SortTuple, MinimalTuple), hashjoin.h (HashJoinTupleData), nodeAgg.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.units import kilobytes

# A sorted row, beside what is on disk of it: SortTuple (24) in an array that grows by doubling, and by what its header
# is longer and its end rounded up.
SORT_ROW_BYTES = 48 + 16
# A hashed row: HashJoinTupleData (16), the header of a MinimalTuple (16), its bucket (8, doubled).
HASH_ROW_BYTES = 16 + 16 + 16
# A group: entry, bucket, header of its tuple, what a simple aggregate keeps (67 measured on PostgreSQL 18).
GROUP_BYTES = 72
# The width that is told is an average that was estimated; a need that is met exactly is met half of the time.
MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class Spill:
    """
    What did not fit.

    Attributes:
        what: "sort", "hash", "groups" or "rows".
        disk_bytes: What was put into temporary files; of several processes all of it.
        batches: Into how many parts a hash was cut, 1 for what has none.
        needed_bytes: The work_mem that would have kept it in memory, as far as rows and width tell.
    """

    what: str
    disk_bytes: int
    batches: int
    needed_bytes: int


def memory_of(told: Mapping[str, Any]) -> int:
    """
    Return the most that a node held in memory, 0 where EXPLAIN does not say.
    """
    return kilobytes(max(_held(each) for each in (told, *told.get("Workers", ()))))


def _held(told: Mapping[str, Any]) -> float:
    """
    Return the same of one process, as EXPLAIN tells it: in kB.
    """
    peaks = [float(told.get("Peak Memory Usage", 0.0))]
    if told.get("Sort Space Type") == "Memory":
        peaks.append(float(told["Sort Space Used"]))
    peaks += [
        float(told.get(groups, {}).get("Sort Space Memory", {}).get("Peak Sort Space Used", 0.0))
        for groups in ("Full-sort Groups", "Pre-sorted Groups")
    ]
    if told.get("Storage") == "Memory":
        peaks.append(float(told.get("Maximum Storage", 0.0)))
    return max(peaks)


def spill_of(
    told: Mapping[str, Any], *, rows: float, processes: float, hash_factor: float, input_: tuple[float, int]
) -> Spill | None:
    """
    Return what a node put on disk, None where all fitted.

    Args:
        rows: That it gave, in all processes.
        processes: In how many it ran side by side.
        hash_factor: hash_mem_multiplier.
        input_: How many rows came in, in all processes, and their width in bytes.
    """
    width_bytes = _aligned(int(told.get("Plan Width", 0)))
    sorted_bytes = _sorted_on_disk(told)
    if sorted_bytes:
        # Below a LIMIT it gives fewer rows than it has sorted.
        return Spill("sort", sorted_bytes, 1, _needed((sorted_bytes + input_[0] * SORT_ROW_BYTES) / processes))
    batches = int(told.get("Hash Batches", 1))
    if batches > 1:
        # Those of a parallel hash build one table together, in the memory of all of them.
        each = rows if told.get("Parallel Aware") else rows / max(float(told.get("Actual Loops", 1.0)), 1.0)
        held = each * (width_bytes + HASH_ROW_BYTES) / (processes if told.get("Parallel Aware") else 1.0)
        peak = kilobytes(float(told.get("Peak Memory Usage", 0.0)))
        on_disk = int(each * (width_bytes + HASH_ROW_BYTES) * (1 - 1 / batches))
        return Spill("hash", on_disk, batches, _needed(max(held, peak) / hash_factor))
    grouped = sum(kilobytes(float(each.get("Disk Usage", 0.0))) for each in (told, *told.get("Workers", ())))
    if grouped:
        parts = max(int(each.get("HashAgg Batches", 1)) for each in (told, *told.get("Workers", ())))
        groups = rows / max(float(told.get("Actual Loops", 1.0)), 1.0)
        return Spill("groups", grouped, parts, _needed(groups * (width_bytes + GROUP_BYTES) / hash_factor))
    if told.get("Storage") == "Disk":
        stored = kilobytes(float(told.get("Maximum Storage", 0.0)))
        count, wide = input_
        return Spill("rows", stored, 1, _needed(max(count / processes * (_aligned(wide) + SORT_ROW_BYTES), stored)))
    return None


def _sorted_on_disk(told: Mapping[str, Any]) -> int:
    """
    Return what sorting put on disk, in this process and in its workers.
    """
    found = kilobytes(float(told["Sort Space Used"])) if told.get("Sort Space Type") == "Disk" else 0
    for groups in ("Full-sort Groups", "Pre-sorted Groups"):
        disk = told.get(groups, {}).get("Sort Space Disk", {})
        found = max(found, kilobytes(float(disk.get("Peak Sort Space Used", 0.0))))
    return found + sum(_sorted_on_disk(worker) for worker in told.get("Workers", ()))


def _aligned(width_bytes: int) -> int:
    return -(-width_bytes // 8) * 8


def _needed(held_bytes: float) -> int:
    return int(held_bytes * MARGIN)

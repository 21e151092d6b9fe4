"""
Write the steps of many requests at once, column by column, in the order in which they are taken.

In        steps of a kind for many segments or requests, each kind with its place within a segment
Out       the columns of a Workload
Not here  which steps there are (recover.py)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Floats, Integers
from rung.steps.twin.pieces import Flags
from rung.steps.twin.workload import Op

ORDERS = 1 << 20  # steps that one segment may have


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """
    Places at which steps are written, in the order of what they are for.

    Attributes:
        place: Where each comes among all.
        request: Which request each is of.
        wanted: Whether it is written at all.
    """

    place: Integers
    request: Integers
    wanted: Flags


class Script:
    """
    Steps, gathered in any order.
    """

    def __init__(self) -> None:
        self._columns: list[tuple[np.ndarray, ...]] = []

    def put(
        self,
        rows: Rows,
        order: int,
        op: Op,
        part: Integers | int,
        service_s: Floats,
        which: Integers | int = 0,
        *,
        where: Flags | None = None,
    ) -> None:
        """
        Write a step at each of *rows* where it takes any time, or at those of *where*.
        """
        chosen = np.flatnonzero(rows.wanted & (service_s > 0 if where is None else where))
        self.add(
            rows.place[chosen] * ORDERS + order,
            rows.request[chosen],
            np.full(len(chosen), int(op)),
            part[chosen] if isinstance(part, np.ndarray) else np.full(len(chosen), part),
            service_s[chosen],
            which[chosen] if isinstance(which, np.ndarray) else np.full(len(chosen), which),
        )

    def mark(
        self, rows: Rows, order: int, op: Op, part: Integers | int, where: Flags, which: Integers | int = 0
    ) -> None:
        """
        Write a step that takes no time of its own at those of *rows* that are in *where*.
        """
        self.put(rows, order, op, part, np.zeros(len(where)), which, where=where)

    def add(
        self, key: Integers, request: Integers, op: Integers, part: Integers, service_s: Floats, which: Integers
    ) -> None:
        """
        Add steps by themselves; *key* says where each comes among all.
        """
        self._columns.append((key, request, op, part, service_s, which))

    def columns(self) -> tuple[Integers, Integers, Integers, Floats, Integers]:
        """
        Return request, op, part, service and which of all steps, in order.
        """
        key, *rest = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        order = np.argsort(key, kind="stable")
        request, op, part, service_s, which = (column[order] for column in rest)
        return (
            request.astype(np.int64),
            op.astype(np.int64),
            part.astype(np.int64),
            service_s.astype(np.float64),
            which.astype(np.int64),
        )

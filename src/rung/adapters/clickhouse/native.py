"""
Read ClickHouse's Native format: blocks of columns, as they lie in memory.

In        the bytes of an answer
Out       numpy arrays by name, null as NaN or ""
Not here  asking (engine.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rung.ports import Column

NUMBERS: Mapping[str, str] = {
    **{f"Int{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": f"<u{bits // 8}" for bits in (16, 32, 64)},
    "Float32": "<f4",
    "Float64": "<f8",
    # What compares gives a UInt8; nothing that is counted does.
    "UInt8": "|b1",
    "Bool": "|b1",
}


def columns_of(data: bytes) -> dict[str, Column]:
    """
    Return the columns of an answer, those of all blocks one after the other.

    Raises:
        ValueError: it is cut short, or has a type that no question of ours gives.
    """
    reader = _Reader(data)
    found: dict[str, list[Any]] = {}
    while reader.place < len(data):
        columns, rows = reader.number(), reader.number()
        for _ in range(columns):
            name, kind = reader.text(), reader.text()
            # A column of a join may come with the name of what it is from.
            found.setdefault(name.rpartition(".")[2], []).append(reader.column(kind, rows))
    return {name: _joined(parts) for name, parts in found.items()}


def _joined(parts: list[Any]) -> Column:
    joined = np.concatenate(parts)
    return joined.astype(np.int64) if joined.dtype == np.uint64 else joined


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.place = data, 0
        self._texts: dict[bytes, str] = {}

    def number(self) -> int:
        """
        Return a number of as many bytes as it takes (LEB128).
        """
        value = shift = 0
        while True:
            if self.place >= len(self._data):
                raise ValueError("it ends early")
            byte = self._data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> str:
        """
        Return a text that begins with its length; one that was met before is the same object.
        """
        length = self.number()
        raw = self._data[self.place : self.place + length]
        self.place += length
        known = self._texts.get(raw)
        if known is None:
            known = self._texts[raw] = raw.decode("utf-8", "replace")
        return known

    def column(self, kind: str, rows: int) -> Any:
        """
        Return *rows* values of a type.
        """
        nullable = kind.startswith("Nullable(")
        inner = kind[len("Nullable(") : -1] if nullable else kind
        absent = self._numbers("|b1", rows) if nullable else None
        if inner == "String":
            return self._strings(rows, absent)
        if inner == "Nothing":
            self.place += rows
            return np.full(rows, np.nan)
        if inner not in NUMBERS:
            raise ValueError(f"a column is of the type {kind[:60]}")
        values = self._numbers(NUMBERS[inner], rows)
        if absent is None or not absent.any():
            return values
        return np.where(absent, np.nan, values.astype(np.float64))

    def _numbers(self, dtype: str, rows: int) -> Any:
        values = np.frombuffer(self._data, dtype=dtype, count=rows, offset=self.place)
        self.place += values.nbytes
        return values

    def _strings(self, rows: int, absent: Any) -> Any:
        column = np.empty(rows, dtype=object)
        column[:] = [self.text() for _ in range(rows)]
        if absent is not None:
            column[absent] = ""
        return column

"""
Rows of a recording's tables, by name: what is not given is null.
"""

from __future__ import annotations

from typing import Any

from rung.steps.record import TABLES


def row(table: str, **values: Any) -> tuple[Any, ...]:
    """
    Return one row in the order of *table*'s columns.
    """
    columns = [name for name, _ in TABLES[table]]
    assert set(values) <= set(columns), set(values) - set(columns)
    return tuple(values.get(name) for name in columns)

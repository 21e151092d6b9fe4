"""
Cases in which our advice is not right yet, with what is wrong; one that comes right fails, so that the list shrinks.

In        nothing
Out       reasons by the name of a case
Not here  the cases
"""

from __future__ import annotations

_NAMES: dict[str, tuple[str, ...]] = {
    "carries too much along, for the planner expects the rows of any range": ("mcp_narrow_range",),
    "none, for a rare value is taken to be asked for rarely": ("enum",),
}
AMISS = {name: reason for reason, names in _NAMES.items() for name in names}

"""
Cases in which our advice is not right yet, with what is wrong; one that comes right fails, so that the list shrinks.

In        nothing
Out       reasons by the name of a case
Not here  the cases
"""

from __future__ import annotations

_NAMES: dict[str, tuple[str, ...]] = {
    "carries too much along": (
        "equality_of_two",
        "json_field",
        "union",
        "mcp_narrow_range",
        "dexter_order_after_equality",
        "pghero_where_order",
    ),
    "narrower than pays": ("mcp_grouped",),
    "one index too many": (
        "largest_of_some",
        "one_index_for_two_statements",
        "self_join",
        "pghero_join",
    ),
    "whole where a partial one would do": (
        "rare_status",
        "without_zip",
        "waiting_job",
    ),
}
AMISS = {name: reason for reason, names in _NAMES.items() for name in names}

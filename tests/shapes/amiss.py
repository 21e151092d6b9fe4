"""
Cases in which our advice is not right yet, with what is wrong; one that comes right fails, so that the list shrinks.

In        nothing
Out       reasons by the name of a case
Not here  the cases
"""

from __future__ import annotations

_NAMES: dict[str, tuple[str, ...]] = {
    "carries too much along": (
        "equality",
        "equality_of_two",
        "in_list",
        "any_of_array",
        "or_on_one_column",
        "equality_beside_or",
        "not_equal_is_no_key",
        "json_field",
        "frequent_and_rare_statement",
        "join_to_the_many",
        "in_subselect",
        "union",
        "with_used_twice",
        "partitioned_without_its_key",
        "names_with_capitals",
        "dexter_basic",
        "dexter_with",
        "dexter_with_condition_outside",
        "dexter_with_not_materialized",
        "pghero_where",
        "pghero_where_two",
        "pghero_unique_first",
        "pghero_unique_order",
        "pghero_order_of_no_column",
        "pghero_in",
        "pghero_not_in",
        "pghero_between",
        "pghero_not_null",
        "pghero_or",
        "mcp_correlated",
        "mcp_narrow_range",
        "sorted_by_rare_status",
        "dexter_order_after_equality",
        "dexter_order_of_two",
        "dexter_order_of_two_directions",
        "pghero_order_of_two",
        "pghero_order_of_two_directions",
        "pghero_where_order",
    ),
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
    "a materialized view gets no index": (
        "materialized_view",
        "dexter_materialized_view",
    ),
    "an index of an expression that all rows satisfy": ("computed",),
    "an index of the expression that PostgreSQL makes of a domain, not of the column": ("domain",),
}
AMISS = {name: reason for reason, names in _NAMES.items() for name in names}

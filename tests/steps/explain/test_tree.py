"""
Plans of a real PostgreSQL, read: the sum closes, loops are multiplied out, parallel processes are told right.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from rung.steps.explain.tree import Node, NotAPlan, Tree, read

PLANS = Path(__file__).parent / "plans"
NAMES = sorted(path.stem for path in PLANS.glob("*.json"))
ROWS, CUSTOMERS, PARTS = 50_000, 1_000, 30_000


def document(name: str) -> Any:
    return json.loads((PLANS / f"{name}.json").read_text("utf-8"))


def plan(name: str) -> Tree:
    return read(document(name))


def only(tree: Tree, kind: str) -> Node:
    found = [node for node in tree.nodes if node.kind == kind]
    assert len(found) == 1, [node.kind for node in tree.nodes]
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_sum_closes(name: str) -> None:
    """
    What each node takes by itself adds up to the whole, and nothing takes less than nothing.
    """
    tree = plan(name)
    assert sum(node.self_cost for node in tree.nodes) == pytest.approx(tree.root.cost)
    assert all(node.self_cost >= 0 and node.self_s >= 0 for node in tree.nodes)
    if tree.executed:
        # Rounded figures, each multiplied by its loops, make it a little more or less.
        rounding_s = sum(0.0000005 * (node.loops or 0) for node in tree.nodes) + 0.00001
        assert sum(node.self_s for node in tree.nodes) == pytest.approx(tree.root.total_s, rel=0.02, abs=rounding_s)
        assert tree.took_s >= tree.root.total_s * 0.99
    assert sum(map(tree.share, tree.nodes)) <= 1.0 + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_nodes_are_numbered_as_printed(name: str) -> None:
    tree = plan(name)
    assert [node.number for node in tree.nodes] == list(range(1, len(tree.nodes) + 1))
    for node in tree.nodes[1:]:
        above = tree.nodes[node.parent - 1]
        assert above.number < node.number
        assert above.depth + 1 == node.depth
        assert node in list(tree.below(above))


def test_a_sort_on_disk_says_how_much_memory_it_would_take() -> None:
    sort = only(plan("sort_spill"), "Sort")
    assert sort.spill is not None
    assert sort.spill.what == "sort"
    assert sort.spill.disk_bytes > 2_000_000
    assert sort.spill.needed_bytes > sort.spill.disk_bytes


def test_a_sort_in_memory_spills_nothing() -> None:
    sort = only(plan("sort_memory"), "Sort")
    assert sort.spill is None
    assert sort.memory_bytes > 0


def test_a_hash_in_batches_says_how_many() -> None:
    node = only(plan("hash_batches"), "Hash")
    assert node.spill is not None
    assert (node.spill.what, node.spill.batches > 1) == ("hash", True)
    # hash_mem_multiplier is 2: half of what the rows take.
    assert node.spill.needed_bytes > ROWS * 46 / 2


def test_groups_on_disk_are_told() -> None:
    node = only(plan("groups_spill"), "HashAggregate")
    assert node.spill is not None
    assert node.spill.what == "groups"
    assert node.spill.disk_bytes > 0


def test_parallel_rows_are_those_of_all_processes() -> None:
    """
    EXPLAIN tells what one process gave on average; all three together gave what there is.
    """
    tree = plan("parallel")
    scan = only(tree, "Parallel Seq Scan")
    assert scan.loops == 3
    assert scan.rows == pytest.approx(sum(1 for n in range(1, ROWS + 1) if n % 997 < 500), abs=3)
    assert scan.removed + scan.rows == pytest.approx(ROWS, abs=3)
    assert scan.rows_expected == pytest.approx(scan.rows, rel=0.05)
    assert scan.processes == 3
    assert scan.ratio == pytest.approx(1.0, rel=0.05)


def test_parallel_times_are_not_added_up() -> None:
    """
    Three processes side by side take what one of them took: no node takes longer than the statement.
    """
    for name in ("parallel", "parallel_sort", "parallel_nested", "parallel_append"):
        tree = plan(name)
        assert all(node.total_s <= tree.took_s * 1.01 for node in tree.nodes), name


def test_what_runs_inside_of_workers_has_its_loops_multiplied_out() -> None:
    """
    The lookups of a parallel nested loop are counted in all processes; what they took is not one average lookup.
    """
    tree = plan("parallel_nested")
    inner = max(tree.nodes, key=lambda node: node.loops or 0)
    told = max(_nodes(document("parallel_nested")[0]["Plan"]), key=lambda each: each["Actual Loops"])
    assert inner.loops is not None
    assert inner.loops >= CUSTOMERS
    assert inner.processes == 3
    assert inner.total_s == pytest.approx(told["Actual Total Time"] / 1000 * inner.loops / 3)


def test_members_of_a_parallel_append_count_for_who_ran_them() -> None:
    tree = plan("parallel_append")
    scans = [node for node in tree.nodes if node.relation.startswith("part_")]
    assert sum(node.rows + node.removed for node in scans) == pytest.approx(PARTS, abs=6)


def test_what_was_never_executed_took_nothing() -> None:
    tree = plan("never_executed")
    (inner,) = (node for node in tree.nodes if node.relation == "watched")
    assert inner.never
    assert (inner.self_s, inner.rows, inner.ratio) == (0.0, 0.0, None)


def test_an_init_plan_is_charged_once() -> None:
    """
    Its time is inside that of the scan which asked for it, and is its own.
    """
    tree = plan("init_plan")
    scan, average = tree.root, only(tree, "Aggregate")
    assert average.role == "InitPlan 1"
    assert scan.relation == "customer"
    assert scan.total_s > average.total_s
    assert scan.self_s == pytest.approx(scan.total_s - average.total_s, abs=0.00001)


def test_a_sub_plan_runs_for_each_row() -> None:
    tree = plan("sub_plan")
    inside = next(node for node in tree.nodes if node.role.startswith("SubPlan"))
    assert inside.loops == 100
    assert inside.total_s < tree.root.total_s
    assert tree.root.self_s == pytest.approx(tree.root.total_s - inside.total_s, abs=0.00006)


def test_a_cte_that_is_read_twice_is_paid_once() -> None:
    tree = plan("cte")
    made = next(node for node in tree.nodes if node.role == "CTE big")
    scans = [node for node in tree.nodes if node.kind == "CTE Scan"]
    assert len(scans) == 2
    assert max(scan.total_s for scan in scans) >= made.total_s * 0.99
    assert sum(scan.self_s for scan in scans) < made.total_s
    assert tree.share(max(tree.nodes, key=tree.share)) < 1


def test_partitions_are_added_up() -> None:
    tree = plan("partitions")
    append = only(tree, "Append")
    assert [child.relation for child in tree.children(append)] == ["part_1", "part_2", "part_3"]
    assert append.rows == PARTS - 100


def test_memoize_tells_how_often_it_knew() -> None:
    node = only(plan("memoize"), "Memoize")
    assert node.cache is not None
    hits, misses, _ = node.cache
    assert (hits + misses, misses) == (ROWS, CUSTOMERS)


def test_a_million_loops_are_multiplied_out() -> None:
    tree = plan("million_loops")
    node = max(tree.nodes, key=lambda node: node.loops or 0)
    assert node.loops == 1_000_000
    assert tree.share(node) > 0.2


def test_rows_fetched_after_all_are_told() -> None:
    tree = plan("heap_fetches")
    assert tree.root.heap_fetches >= 4_990
    assert tree.root.index == "changed_pkey"


def test_triggers_have_times_of_their_own() -> None:
    tree = plan("modify")
    assert tree.root.kind == "Update"
    assert tree.root.ratio is None
    assert {trigger.name for trigger in tree.triggers} == {"watch", "watched_customer_id_fkey"}
    assert all(trigger.calls == 2_000 and trigger.took_s > 0 for trigger in tree.triggers)


def test_rows_off_by_ten_are_marked() -> None:
    """
    Each of the columns keeps one row in 50, and so do both together: 20 rows, where 0.4 are expected.
    """
    tree = plan("correlated")
    assert tree.root.rows == 20
    assert tree.root.off
    assert tree.root.ratio == pytest.approx(20)


def test_who_was_not_run_to_the_end_is_not_blamed() -> None:
    """
    Below a LIMIT a scan gives fewer rows than it has.
    """
    tree = plan("limit")
    scan = only(tree, "Seq Scan")
    assert scan.rows == 10 < scan.rows_expected / 100
    assert scan.ratio is None


def test_rows_that_a_merge_join_reads_again_are_not_held_against_the_planner() -> None:
    tree = plan("merge_rereads")
    join = only(tree, "Merge Join")
    assert all(not node.off for node in tree.below(join))


def test_a_bitmap_that_lost_track_is_told() -> None:
    node = only(plan("bitmap_lossy"), "Bitmap Heap Scan")
    assert node.lossy_blocks > 0
    assert node.rechecked > 0


def test_without_analyze_shares_are_of_the_cost() -> None:
    """
    The inner side of a nested loop costs as much as it is expected to be asked for.
    """
    tree = plan("plain_nested")
    assert not tree.executed
    assert tree.whole == tree.root.cost
    inner = tree.nodes[-1]
    outer = tree.nodes[1]
    assert inner.self_cost > inner.cost
    assert inner.rows_expected == pytest.approx(outer.rows_expected)
    assert all(node.loops is None and node.ratio is None for node in tree.nodes)


def test_a_limit_takes_no_more_than_it_needs() -> None:
    tree = plan("plain_limit")
    below = tree.nodes[1]
    assert below.cost > 100 * tree.root.cost
    assert below.self_cost == pytest.approx(tree.root.cost)


def test_constants_are_taken_out() -> None:
    tree = plan("correlated")
    assert tree.root.condition("Filter") == "((customer.city = $n::text) AND (customer.zip = $n))"


COMPILED = {"Functions": 12, "Timing": {"Generation": {"Deform": 0.5, "Total": 2.0}, "Emission": 30.0, "Total": 60.0}}


def test_compiling_and_serialising_stand_beside_the_nodes() -> None:
    """
    As EXPLAIN of PostgreSQL 17 and later writes them; the one in the tests is built without a compiler.
    """
    told = copy.deepcopy(document("sort_memory"))
    told[0] |= {"JIT": COMPILED, "Serialization": {"Time": 1.5, "Output Volume": 9, "Format": "text"}}
    tree = read(told)
    assert (tree.compiled, tree.compiled_s, tree.serialised_s) == (12, 0.06, 0.0015)


@pytest.mark.parametrize(
    "bad",
    [
        None, [], {}, "x", 7, [{"Plan": 1}], {"Plan": {}}, {"Plan": {"Node Type": "Result"}},
        {"Plan": {"Node Type": "Result", "Total Cost": "dear", "Plan Rows": 1}},
        {"Plan": {"Node Type": "Result", "Total Cost": 1, "Plan Rows": 1, "Plans": [3]}},
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused(bad: Any) -> None:
    with pytest.raises(NotAPlan):
        read(bad)


def test_a_bottomless_plan_is_refused() -> None:
    node: dict[str, Any] = {"Node Type": "Result", "Total Cost": 1.0, "Plan Rows": 1.0}
    for _ in range(5_000):
        node = {"Node Type": "Result", "Total Cost": 1.0, "Plan Rows": 1.0, "Plans": [node]}
    with pytest.raises(NotAPlan, match="deep"):
        read({"Plan": node})


def _nodes(told: Any) -> list[Any]:
    return [told, *(each for child in told.get("Plans", ()) for each in _nodes(child))]

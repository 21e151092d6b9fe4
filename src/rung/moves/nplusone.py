"""
Move: ask once for what a request now asks for one by one (N+1).

In        a workload in which requests of a route execute one statement many times
Out       a variant for each such statement: one round trip, and the executions' work in one
Not here  which statements those are (steps/find/repeats.py), writing the ORM's remedy (eager.py)

The one execution takes what the first took, and for each further row a share of what the cheapest tenth of the
executions take: parsing, planning and answering are in those as well.  Of what the app computed from one execution to
the next the same share stays, for the row; the rest was asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rung.moves.eager import Remedy, remedy
from rung.ports import Step
from rung.steps.find.repeats import Repeat, one_by_one, repeats
from rung.steps.measure import Part, Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Model, Variant
from rung.steps.twin.workload import Op, Workload
from rung.units import show_count, show_seconds, show_share

STATEMENTS_MAX = 3
REMEDIES_MAX = 2 * STATEMENTS_MAX  # the simulated blocks may rank them otherwise than the whole recording does
MARGINAL_QUANTILE = 0.1
# What a row costs that comes with others, of what it cost alone: expected, at the good end and at the bad end.
ROW_SHARE, ROW_SHARE_LOW, ROW_SHARE_HIGH = 0.2, 0.0, 0.5


class NPlusOneMove:
    """
    Offer to join the executions of each statement that requests of the route ask one by one.

    Args:
        repeats: What the recording's requests ask again and again.
        remedies: What to do about those of the route, by statement.
    """

    kind = "nplusone"
    rung = 1

    def __init__(self, repeats: tuple[Repeat, ...] = (), remedies: Mapping[str, Remedy] = MappingProxyType({})) -> None:
        self.repeats, self.remedies = repeats, remedies

    def asked(self, route: str) -> Step[NPlusOneMove]:
        """
        Return the move that knows the recording's repeats, and how those of *route* are asked at once.
        """
        found = yield from repeats()
        remedies = {}
        for repeat in _each_once(one_by_one(found, route))[:REMEDIES_MAX]:
            remedies[repeat.statement] = yield from remedy(repeat)
        return NPlusOneMove(found, remedies)

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return a variant for each statement that is asked one by one, the most time in its repeats first.
        """
        of_route = edit.on_route(workload, goal_route)
        found = []
        for repeat in _each_once(one_by_one(self.repeats, goal_route)):
            part = Part("query", repeat.statement)
            calls = np.bincount(workload.request[edit.spent_on(workload, part, ops=(Op.EXECUTE,)) & of_route])
            if calls.any():
                spent_s = float(workload.service_s[edit.spent_on(workload, part) & of_route].sum())
                found.append((spent_s, part, repeat, float(np.median(calls[calls >= edit.REPEATS_MIN]))))
        found.sort(key=lambda each: (-each[0], each[1].name))
        return tuple(
            _variant(workload, part, repeat, calls, self.remedies.get(repeat.statement))
            for _, part, repeat, calls in found[:STATEMENTS_MAX]
        )


def _each_once(found: tuple[Repeat, ...]) -> list[Repeat]:
    """
    Return of each statement the one with the most time in it: by its line, or its database, it may be there twice.
    """
    first: dict[str, Repeat] = {}
    for repeat in found:
        first.setdefault(repeat.statement, repeat)
    return list(first.values())


def joined(part: Part, route: str, *, row_share: float = ROW_SHARE) -> Model:
    """
    Return the model in which a request of *route* executes *part* once, for all that it asked one by one.

    Args:
        row_share: What each further row takes, of what the cheapest tenth of executions took, and of what the app
            computed until the next.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        of_route = edit.on_route(workload, route)
        executed = np.flatnonzero(edit.spent_on(workload, part, ops=(Op.EXECUTE,)) & of_route)
        if not len(executed):
            return workload, topology
        request = workload.request
        marginal_s = _marginal_s(workload, executed) * row_share
        begins = edit.firsts(request[executed])
        leads = executed[begins]
        calls = np.diff(np.append(begins, len(executed)))
        all_s = np.add.reduceat(workload.service_s[executed], begins)
        service_s = np.minimum(workload.service_s[leads] + (calls - 1) * marginal_s, all_s)
        # One round trip stays, and what the driver computes for one.
        asked, kept = [executed], [leads]
        for op in (Op.DELAY, Op.COMPUTE, Op.HELP):
            steps = np.flatnonzero(edit.spent_on(workload, part, ops=(op,)) & of_route)
            asked.append(steps)
            kept.append(steps[edit.firsts(request[steps])])
        gone = edit.chosen_of(workload, np.concatenate(asked)) & ~edit.chosen_of(workload, np.concatenate(kept))
        computed, ends = edit.between(workload, executed)
        made = edit.replaced(edit.scaled(workload, computed, row_share), edit.chosen_of(workload, leads), service_s)
        made = edit.replaced(made, ends, 0.0)
        return edit.dropped(made, gone), topology

    return model


def _marginal_s(workload: Workload, executed: np.ndarray) -> float:
    return float(np.quantile(workload.service_s[executed], MARGINAL_QUANTILE, method="inverted_cdf"))


def _variant(workload: Workload, part: Part, repeat: Repeat, calls: float, found: Remedy | None) -> Variant:
    route = repeat.route
    met = np.flatnonzero(edit.spent_on(workload, part, ops=(Op.EXECUTE,)) & edit.on_route(workload, route))
    row_s = _marginal_s(workload, met) * ROW_SHARE
    patch = found.patch if found is not None else None
    return Variant(
        name=f"nplusone:{part.name}",
        rung=NPlusOneMove.rung,
        what=f"ask once instead of {show_count(calls)} times for [{part.name[:8]}]"
        + (f", at {repeat.code}" if repeat.code else "")
        + (f": {found.words}" if found is not None and patch is not None else ""),
        cost="a changed query",
        assumptions=(
            f"each further row takes {show_seconds(row_s)}, {show_share(ROW_SHARE)} of the cheapest execution",
            f"of what the app computes from one to the next {show_share(ROW_SHARE)} stays, for the row",
            f"the range is from {show_share(ROW_SHARE_LOW)} to {show_share(ROW_SHARE_HIGH)}",
            "one round trip instead of one for each",
        ),
        taken_as="hand" if patch is None else "patch",
        model=joined(part, route),
        bounds=(
            joined(part, route, row_share=ROW_SHARE_LOW),
            joined(part, route, row_share=ROW_SHARE_HIGH),
        ),
        patch=patch,
    )

"""
Move: ask once for what a request now asks for one by one (N+1).

In        a workload in which requests of a route execute one statement many times
Out       a variant for each such statement: one round trip, and the executions' work in one
Not here  writing the joined statement; which line asks is in the finding

The one execution takes what the first took, and for each further row a share of what the cheapest tenth of the
executions take: parsing, planning and answering are in those as well.  Of what the app computed from one execution to
the next the same share stays, for the row; the rest was asking.
"""

from __future__ import annotations

import numpy as np

from rung.steps.measure import Part, Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Model, Variant
from rung.steps.twin.workload import Op, Workload
from rung.units import show_count, show_seconds, show_share

STATEMENTS_MAX = 3
MARGINAL_QUANTILE = 0.1
# What a row costs that comes with others, of what it cost alone: expected, at the good end and at the bad end.
ROW_SHARE, ROW_SHARE_LOW, ROW_SHARE_HIGH = 0.2, 0.0, 0.5


class NPlusOneMove:
    """
    Offer to join the executions of each statement that requests of the route repeat.
    """

    kind = "nplusone"
    rung = 1

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return a variant for each statement that is read again and again, the most time in its repeats first.
        """
        of_route = edit.on_route(workload, goal_route)
        found = []
        for part in workload.parts:
            text = profile.texts.get(part.name)
            if part.seam != "query" or text is None or text.kind != "read":
                continue
            met = edit.spent_on(workload, part, ops=(Op.EXECUTE,)) & of_route
            calls = np.bincount(workload.request[met])
            calls = calls[calls > 0]
            if len(calls) and np.median(calls) >= edit.REPEATS_MIN:  # in the middle request that asks at all
                spent_s = float(workload.service_s[edit.spent_on(workload, part) & of_route].sum())
                found.append((spent_s, part, float(np.median(calls))))
        found.sort(key=lambda each: (-each[0], each[1].name))
        return tuple(_variant(profile, workload, part, goal_route, calls) for _, part, calls in found[:STATEMENTS_MAX])


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


def _asked_at(profile: Profile, part: Part, route: str) -> str:
    """
    Return the line of the user's code that asks most often, "" where it is not known.
    """
    segments = profile.segments
    of_route = profile.requests.route[segments.request] == profile.routes.index(route)
    met = of_route & (segments.part == (profile.parts.index(part) if part in profile.parts else -1))
    asked = np.bincount(segments.code[met], weights=segments.calls[met], minlength=len(profile.codes))
    return profile.codes[int(asked.argmax())] if len(profile.codes) else ""


def _variant(profile: Profile, workload: Workload, part: Part, route: str, calls: float) -> Variant:
    met = np.flatnonzero(edit.spent_on(workload, part, ops=(Op.EXECUTE,)) & edit.on_route(workload, route))
    code, row_s = _asked_at(profile, part, route), _marginal_s(workload, met) * ROW_SHARE
    return Variant(
        name=f"nplusone:{part.name}",
        rung=NPlusOneMove.rung,
        what=f"ask once instead of {show_count(calls)} times for [{part.name[:8]}]" + (f", at {code}" if code else ""),
        cost="a changed query",
        assumptions=(
            f"each further row takes {show_seconds(row_s)}, {show_share(ROW_SHARE)} of the cheapest execution",
            f"of what the app computes from one to the next {show_share(ROW_SHARE)} stays, for the row",
            f"the range is from {show_share(ROW_SHARE_LOW)} to {show_share(ROW_SHARE_HIGH)}",
            "one round trip instead of one for each",
        ),
        taken_as="hand",
        model=joined(part, route),
        bounds=(
            joined(part, route, row_share=ROW_SHARE_LOW),
            joined(part, route, row_share=ROW_SHARE_HIGH),
        ),
    )

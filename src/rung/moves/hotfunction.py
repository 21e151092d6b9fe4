"""
Move: make a function cheaper that much of a route's computing was seen in.

In        looks at what computed for the route (Beside.computing)
Out       two variants for each such function: twice as fast, and gone, the most that any change of it can bring
Not here  how to make it so

A look tells a share and not seconds, so the interval holds what a sample of so many looks may be off.
"""

from __future__ import annotations

import math
from collections import Counter

from rung.steps.measure import Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Model, Variant
from rung.steps.twin.workload import Op, Workload
from rung.units import show_count, show_share

SHARE_MIN = 0.2  # of the looks at a route's computing
LOOKS_MIN = 20
FUNCTIONS_MAX = 2
NORMAL_80 = 1.2816  # standard deviations on either side of 80 % of a normal distribution
COMPUTED_MIN = 0.05  # of the route's service
LIMIT = "a limit and no move: no change of it can bring more"


class HotFunctionMove:
    """
    Offer the functions in which a route was seen computing most.
    """

    kind = "hotfunction"
    rung = 4

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return the hottest functions of the route, each in both variants.
        """
        looks: Counter[str] = Counter()
        for seen in profile.beside.computing:
            if seen.route == goal_route:
                looks[seen.function] += seen.looks
        total = looks.total()
        hot = [each for each in looks.most_common(FUNCTIONS_MAX) if total >= LOOKS_MIN and each[1] >= SHARE_MIN * total]
        why_not = _why_not(workload, goal_route)
        return tuple(
            variant for function, times in hot for variant in _both(function, times, total, goal_route, why_not)
        )


def cheaper(route: str, share: float, factor: float) -> Model:
    """
    Return the model in which *share* of what *route* computes takes *factor* of its time; 0 where it is gone.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        computing = edit.on_route(workload, route) & (workload.op == Op.COMPUTE)
        return edit.scaled(workload, computing, 1 - share * (1 - factor)), topology

    return model


def _both(function: str, looks: int, total: int, route: str, why_not: str) -> tuple[Variant, Variant]:
    share = looks / total
    off = NORMAL_80 * math.sqrt(share * (1 - share) / total)
    ends = (min(share + off, 1.0), max(share - off, 0.0)) if off else ()

    def variant(name: str, what: str, factor: float, not_yet: str) -> Variant:
        return Variant(
            name=name,
            rung=HotFunctionMove.rung,
            what=what,
            cost="a changed function",
            assumptions=(
                f"{show_share(share)} of {show_count(total)} looks at {route} computing saw it",
                "it takes that share of the computing of each of the route's requests",
            ),
            taken_as="hand",
            model=cheaper(route, share, factor),
            bounds=tuple(cheaper(route, end, factor) for end in ends),
            why_not_yet=not_yet,
        )

    return (
        variant(f"hotfunction:{function}(half)", f"{function} in half its time", 0.5, why_not),
        variant(f"hotfunction:{function}(gone)", f"{function} not called at all", 0.0, why_not or LIMIT),
    )


def _why_not(workload: Workload, route: str) -> str:
    of_route = edit.on_route(workload, route)
    all_s = float(workload.service_s[of_route].sum())
    computed_s = float(workload.service_s[of_route & (workload.op == Op.COMPUTE)].sum())
    if all_s <= 0 or computed_s >= COMPUTED_MIN * all_s:
        return ""
    return f"computing is {show_share(computed_s / all_s)} of what {route} takes"

"""
Move: take a call elsewhere off the request path.

In        a workload with segments of `external` before the answer
Out       two variants for each kind of call: after the answer in the same process, or by a job worker
Not here  the queue and its workers (the kit's jobs), whether the response uses what the call returns
"""

from __future__ import annotations

import numpy as np

from rung.moves.demand import not_waited
from rung.steps.measure import Part, Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Model, Variant
from rung.steps.twin.workload import Op, Workload
from rung.units import show_seconds, show_share

# Of the database's processor, for one job: the insert while the request waits, then its fetching and acknowledging.
# Assumed; a well-kept PostgreSQL queue drained 7,900 jobs/s on two cores, which is 0.25 ms of a core for both.
ENQUEUE_S = 1e-4
WORK_S = 2e-4
# Nothing in a response depends on a mail; any other call is most likely made for what it returns.
UNUSED = frozenset({"mail"})


class BackgroundMove:
    """
    Offer to make calls elsewhere when the user has the answer.
    """

    kind = "background"
    rung = 3

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return both ways for each kind of call that requests of the route make, the longest first.
        """
        spent_s = {
            part: float(workload.service_s[_waited_for(workload, part, goal_route)].sum())
            for part in workload.parts
            if part.seam == "external"
        }
        longest = sorted((part for part in spent_s if spent_s[part] > 0), key=lambda part: (-spent_s[part], part.name))
        return tuple(variant for part in longest for variant in _both(profile, workload, topology, part, goal_route))


def after_answer(part: Part, route: str) -> Model:
    """
    Return the model in which requests of *route* do *part* when they have answered, in the same process.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        chosen = _waited_for(workload, part, route)
        return edit.moved_after_answer(workload, chosen), topology

    return model


def by_job(part: Part, route: str) -> Model:
    """
    Return the model in which requests of *route* only enqueue *part*, and the queue takes its share of the database.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        chosen = _waited_for(workload, part, route)
        if not topology.databases:
            return edit.dropped(workload, chosen), topology
        part_of = workload.part_of(part)
        requests = np.unique(workload.request[chosen])
        place = np.flatnonzero(chosen)
        first = edit.chosen_of(workload, place[edit.firsts(workload.request[place])])
        enqueued = edit.asking(edit.replaced(workload, first, ENQUEUE_S), first, Op.EXECUTE, part=part_of)
        enqueued = edit.dropped(enqueued, chosen & ~first)
        silent = np.setdiff1d(requests, workload.request[workload.op == Op.ANSWER])
        answered = edit.with_last(enqueued, silent, op=Op.ANSWER, part=0, service_s=0.0)
        return edit.with_last(answered, requests, op=Op.EXECUTE, part=part_of, service_s=WORK_S), topology

    return model


def _waited_for(workload: Workload, part: Part, route: str) -> edit.Chosen:
    waited_for: edit.Chosen = (
        edit.spent_on(workload, part) & edit.on_route(workload, route) & edit.before_answer(workload)
    )
    return waited_for


def _both(profile: Profile, workload: Workload, topology: Topology, part: Part, route: str) -> tuple[Variant, Variant]:
    requests = workload.route == workload.routes.index(route)
    chosen = _waited_for(workload, part, route)
    mean_s = float(workload.service_s[chosen].sum()) / int(requests.sum())
    share = len(np.unique(workload.request[chosen])) / int(requests.sum())
    met = f"{part.name} takes {show_seconds(mean_s)} of a request of {route} in the mean; {show_share(share)} have it"
    return (
        Variant(
            name=f"background:{part.name}",
            rung=BackgroundMove.rung,
            what=f"{part.name} after the answer, in the same process",
            cost="lost when the process ends meanwhile",
            assumptions=(met, "the response does not use its result", "a sync worker stays taken until it is done"),
            taken_as="hand",
            model=after_answer(part, route),
            why_not_yet=_why_not(profile, part, route),
        ),
        Variant(
            name=f"background:{part.name}(job)",
            rung=BackgroundMove.rung,
            what=f"{part.name} by a job worker",
            cost="a job worker; a row in the database for each",
            assumptions=(
                met,
                "the response does not use its result",
                f"a job takes {show_seconds(ENQUEUE_S + WORK_S)} of the database's processor",
                "job workers wait for the call elsewhere and compute next to nothing",
            ),
            taken_as="hand",
            model=by_job(part, route),
            why_not_yet=_why_not(profile, part, route),
        ),
    )


def _why_not(profile: Profile, part: Part, route: str) -> str:
    little = not_waited(profile, route, "calling elsewhere", "external")
    if little or part.name in UNUSED:
        return little
    return "the response most likely uses what the call returns; only you can tell"

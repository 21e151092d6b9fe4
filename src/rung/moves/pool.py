"""
Move: more connections in the app's pool.

In        a topology whose pools somebody waited for
Out       variants: twice and four times the connections of each app process
Not here  why connections are held (steps/find), opening them anew each time (keepopen.py)

A pool that one slow statement holds is a symptom: more connections then only make it a queue inside the database, and
the price says so, since the simulated statement takes its share of the database's cores.
"""

from __future__ import annotations

from dataclasses import replace

from rung.moves.demand import not_waited
from rung.steps.measure import Profile
from rung.steps.twin.topology import UNLIMITED, Topology
from rung.steps.twin.variant import Model, Setting, Variant, set_in, unchanged
from rung.steps.twin.workload import Workload
from rung.units import show_count

TIMES = (2, 4)
PLACES = {
    "sqlalchemy": "create_engine(…, pool_size={value}, max_overflow=0)",
    "django": 'DATABASES["default"]["OPTIONS"]["pool"] = {{"max_size": {value}}}',
    "psycopg_pool": "ConnectionPool(…, max_size={value})",
    "asyncpg": "asyncpg.create_pool(…, max_size={value})",
    "": "connections in the pool of each app process: {value}",
}


class PoolMove:
    """
    Offer larger pools where requests wait for a connection.
    """

    kind = "pool"
    rung = 4

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return the pool in two sizes; one without a size, and why not, where nobody waits.
        """
        size = max((worker.pool for worker in topology.workers), default=UNLIMITED)
        why_not = not_waited(profile, goal_route, "waiting for a connection", "pool")
        if size == UNLIMITED:
            return (_variant("pool", "a larger connection pool", "–", unchanged, why_not or NEVER_FULL, None),)
        return tuple(
            _variant(
                f"pool:{size * times}",
                f"a pool of {size * times} connections instead of {size}, in each app process",
                f"up to {show_count(size * (times - 1) * len(topology.workers))} more connections of the database",
                pooled(size * times),
                why_not,
                set_in(profile, PLACES, then=size * times, now=size),
            )
            for times in TIMES
        )


NEVER_FULL = "no pool was seen full"


def pooled(size: int) -> Model:
    """
    Return the model in which each app process has *size* connections.
    """

    def model(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
        workers = tuple(replace(worker, pool=size) for worker in topology.workers)
        return workload, replace(topology, workers=workers)

    return model


def _variant(name: str, what: str, cost: str, model: Model, why_not: str, setting: Setting | None) -> Variant:
    return Variant(
        name=name,
        rung=PoolMove.rung,
        what=what,
        cost=cost,
        assumptions=(
            "the database accepts so many connections (max_connections, or the pooler's limit)",
            "a statement that shares the database with more others takes more of its processor and no other harm",
        ),
        taken_as="setting",
        model=model,
        setting=setting,
        why_not_yet=why_not,
    )

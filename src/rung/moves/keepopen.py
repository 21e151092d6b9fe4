"""
Move: keep connections open instead of opening one for each request.

In        a workload with segments of `connect`
Out       one variant: the same requests without them, looking for a free connection as before
Not here  how many connections there are then (pool.py)
"""

from __future__ import annotations

import numpy as np

from rung.moves.demand import not_waited, waited_share
from rung.steps.measure import OTHER, Profile
from rung.steps.twin import edit
from rung.steps.twin.topology import Topology
from rung.steps.twin.variant import Setting, Variant, imported_of
from rung.steps.twin.workload import Workload
from rung.units import show_share

PLACES = {
    "django": ('DATABASES["default"]["CONN_MAX_AGE"] = 600', 'DATABASES["default"]["CONN_MAX_AGE"] = 0'),
    "sqlalchemy": ("create_engine(…) once, without poolclass=NullPool", "create_engine(…, poolclass=NullPool)"),
    "psycopg_pool": ("ConnectionPool(…) once, as the app starts", "psycopg.connect(…) in each request"),
    "asyncpg": ("asyncpg.create_pool(…) once, as the app starts", "asyncpg.connect(…) in each request"),
    "": ("a pool of connections, made once as the app starts", "a connection opened in each request"),
}


class KeepOpenMove:
    """
    Offer to keep connections where requests open their own.
    """

    kind = "keepopen"
    rung = 4

    def variants(
        self, profile: Profile, workload: Workload, topology: Topology, goal_route: str
    ) -> tuple[Variant, ...]:
        """
        Return the one variant, and why not where opening connections takes next to no time.
        """
        share = waited_share(profile, goal_route, "connect")
        return (
            Variant(
                name=self.kind,
                rung=self.rung,
                what="keep database connections open between requests",
                cost="an open connection for each request at once",
                assumptions=(
                    f"opening connections is {show_share(share)} of the time of {goal_route}; all of it goes",
                    "so does what no instrument sees after it: closing them (at the upper end of the range it stays)",
                    "what a connection was set up with (role, search_path, time zone) is the same for every request",
                ),
                taken_as="setting",
                model=kept_open,
                bounds=(kept_open, opened_for_nothing),
                setting=Setting(*imported_of(profile, PLACES)),
                why_not_yet=not_waited(profile, goal_route, "opening connections", "connect"),
            ),
        )


def kept_open(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    """
    Take away what opening a connection takes, and what no instrument explains after it: closing it again.

    Being handed one by the pool stays.
    """
    opened = _opening(workload)
    after = np.zeros(len(workload), dtype=np.int64)
    np.maximum.at(after, workload.request[opened], np.flatnonzero(opened))
    follows = (np.arange(len(workload.op)) > after[workload.request]) & (after[workload.request] > 0)
    return edit.dropped(workload, opened | (follows & edit.spent_on(workload, OTHER))), topology


def opened_for_nothing(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    """
    Take away what opening a connection takes, and nothing else.
    """
    return edit.dropped(workload, _opening(workload)), topology


def _opening(workload: Workload) -> edit.Chosen:
    opening = [place for place, part in enumerate(workload.parts) if part.seam == "connect"]
    chosen: edit.Chosen = np.isin(workload.part, opening) & np.isin(workload.op, edit.SPENDING)
    return chosen

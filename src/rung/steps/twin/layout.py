"""
Tell whether the app and the database of one machine share its cores, or each was given cores of its own.

Which processors each may use is recorded where the system tells (Linux).  Elsewhere, and of a database in another
container, it shows: where the right cores are taken for shared, what an execution had of them no longer depends on how
many others ran.  So of several layouts that one is taken in which executions of the same statement differ least, if it
is better by a margin than the plain one.

In        a Profile, its Pieces, its Estate, round trips
Out       the Estate, with a host of its own for the database where that explains more
Not here  machines that are told apart by name (estate.py)
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rung.steps.measure import Floats, Profile
from rung.steps.measure.beside import Usage
from rung.steps.twin.estate import Estate
from rung.steps.twin.pieces import Pieces
from rung.steps.twin.sharing import Sharing
from rung.steps.twin.topology import Host

APART = " (database)"  # ends the name of a host that is part of a machine
EXECUTIONS_MIN = 30
SPENT_S_MIN = 0.5e-3  # what is shorter differs by other things
BETTER = 0.85  # a parallel query slows others down as if there were fewer cores; that alone is no proof
CORES_MAX = 8  # for the database alone, that are tried
FULL_SHARE = 1.02


def laid_out(profile: Profile, pieces: Pieces, estate: Estate, trip_s: Floats) -> Estate:
    """
    Return *estate* with the database on cores of its own, where the recording says so.
    """
    usages = {usage.host: usage for usage in profile.beside.usages}
    if len(estate.databases) != 1:
        return estate
    place = estate.databases[0]
    usage = usages.get(estate.hosts[place].name)
    if usage is None or usage.cores_all < 2 or place not in estate.host.tolist():
        return estate
    host = estate.hosts[place]
    app, database = usage.app_processors, usage.database_processors
    each = host.background / host.cores  # of every core: what else runs may run on any
    if app == database and app:
        cores = min(float(len(app)), host.cores)
        together = replace(host, cores=cores, background=each * cores)
        return replace(estate, hosts=_with(estate.hosts, place, together))
    if app and database:
        # Where one may use more than the other, the system puts it where the other may not go.
        left, apart = float(len(app - database) or len(app)), float(len(database - app) or len(database))
        divided = replace(host, cores=left, background=each * left), Host(host.name + APART, apart, each * apart)
    else:
        apart = _cores_apart(profile, pieces, estate, trip_s, usage)
        if not apart:
            return estate
        left = min(max(usage.cores_all - apart, 1.0), usage.cores)
        divided = (
            replace(host, cores=left, background=min(usage.tools, 0.5 * left)),
            Host(host.name + APART, float(apart)),
        )
    hosts = (*_with(estate.hosts, place, divided[0]), divided[1])
    return replace(estate, hosts=hosts, databases=(len(hosts) - 1,))


def _with(hosts: tuple[Host, ...], place: int, host: Host) -> tuple[Host, ...]:
    return (*hosts[:place], host, *hosts[place + 1 :])


def _cores_apart(profile: Profile, pieces: Pieces, estate: Estate, trip_s: Floats, usage: Usage) -> float:
    """
    Return how many cores the database has for itself, 0 where it shares them with the app.
    """
    # The collector is confined as the app is; what is not its child is not.
    if usage.cores < usage.cores_all:
        return max(int(usage.cores_all - usage.cores), math.ceil(usage.database / FULL_SHARE), 1)
    request, requests = profile.segments.request, profile.requests
    asked = pieces.query & (pieces.own_s > trip_s)
    begin_s, end_s = (pieces.start_s + trip_s)[asked], (pieces.start_s + pieces.own_s)[asked]
    gaps_s = np.bincount(request, weights=pieces.gap_s, minlength=len(requests)) + pieces.left_s
    weight = np.divide(requests.cpu_s, gaps_s, out=np.zeros(len(requests)), where=gaps_s > 0)
    ended_s = requests.arrived_s + requests.latency_s - requests.queue_s
    start_s = np.concatenate([begin_s, pieces.start_s - pieces.gap_s, ended_s - pieces.left_s])
    until_s = np.concatenate([end_s, pieces.start_s, ended_s])
    running = np.concatenate([np.ones(len(begin_s)), weight[request], weight])
    host = estate.hosts[estate.databases[0]]

    part = profile.segments.part[asked]
    together = Sharing(start_s, until_s, running, cores=max(host.cores - host.background, 0.5))
    plain = _spread(part, together.service_s(begin_s, end_s), end_s - begin_s)
    tried: dict[int, float] = {}
    for cores in range(1, min(int(usage.cores_all), CORES_MAX + 1)):
        if usage.database <= cores * FULL_SHARE:
            alone = Sharing(begin_s, end_s, np.ones(len(begin_s)), cores=float(cores))
            tried[cores] = _spread(part, alone.service_s(begin_s, end_s), end_s - begin_s)
    if not tried:
        return 0
    best = min(tried, key=lambda cores: tried[cores])
    return best if tried[best] < BETTER * plain else 0


def _spread(part: np.ndarray, service_s: Floats, spent_s: Floats) -> float:
    """
    Return by how much executions of the same statement differ: the deviation of the logarithm, over all of them.
    """
    total, count = 0.0, 0
    for place in np.unique(part):
        ours = part == place
        if ours.sum() >= EXECUTIONS_MIN and spent_s[ours].mean() >= SPENT_S_MIN:
            logarithm = np.log(np.maximum(service_s[ours], SPENT_S_MIN / 10))
            total += float(((logarithm - logarithm.mean()) ** 2).sum())
            count += int(ours.sum())
    return float(np.sqrt(total / count)) if count else 0.0

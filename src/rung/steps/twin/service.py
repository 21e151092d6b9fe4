"""
Recover service from what was recorded: what each thing took with nobody in its way.

A statement's time is a round trip and an execution; an execution's time, and that of computing on an event loop, is
stretched where cores were shared.  The server's own account, where there is one, says what of a statement's time was
spent there, and what else the server did meanwhile.

In        a Profile, its Pieces, its Estate
Out       Service, and the Estate with the background on its hosts
Not here  waiting for loops, connections, threads and locks, which is dropped as a whole (recover.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rung.steps.measure import ROUNDING_S, Floats, Integers, Part, Profile, Requests
from rung.steps.measure.beside import Executions
from rung.steps.twin.estate import Estate
from rung.steps.twin.holding import held_at
from rung.steps.twin.layout import APART, laid_out
from rung.steps.twin.pieces import Flags, Pieces
from rung.steps.twin.sharing import Sharing
from rung.steps.twin.trivial import is_trivial
from rung.steps.twin.turns import turns_of

FASTEST = 0.1  # the share of executions that had nobody in their way
EXECUTIONS_MIN = 10
TRIP_S_MAX = 1e-3
ROUNDS = 4  # in which background and service, each known from the other, settle
CORES_MIN = 0.05  # what is left to the recorded of a host, however much its background takes
LOOKED_S_MIN = 5.0  # processor time is counted in hundredths of a second
FREE_SHARE_MAX = 0.9
CORES_SHARE_MIN = 0.25  # however much others take, they give way
OTHERS_SHARE_MIN = 0.1
# What is computed unseen for a statement and for a connection that is opened, of what is for any request: an N+1 of 31
# statements and the same request with one of them differed by 0.2 of it a statement (asyncpg) and 0.17 (psycopg).
QUERY_UNIT, CONNECT_UNIT = 0.2, 6.0
WAY_S_MAX = 10e-3  # on the way to an app to which nobody came while it was free
TURN_S = 1e-3  # that a process runs at a time while others want its core; docs/design/0004-service-from-waiting.md


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """
    What each piece and gap takes with nobody in the way, seconds.

    Attributes:
        trip_s: Of each query, what of it nobody shares: the round trip, and what the server waits for its disks.
        asked_s: Of each query, what it takes of a core of the server.
        computing_s, other_s: Of each gap before a piece.
        last_computing_s, last_other_s: Of each request, of the gap after its last piece.
        network_s: Of each request, before the app took it.
        turn_s: Of each process that takes so many requests at once, from the end of one to the begin of the next, where
            that was waiting; 0 for event loops.
        unseen_s: Of each request, what its process computes for it beyond what the recorder saw: the server's reading
            and writing, and drivers inside of statements.
        helpers: Of each query, the parallel workers that compute beside it, each for as long.
        own_s: Of each piece what it took without waiting for its process and for locks; service is no more than that.
        after_trip_s, after_asked_s: As trip_s and asked_s, of each query after a response; 0 of what else there was.
    """

    trip_s: Floats
    asked_s: Floats
    computing_s: Floats
    other_s: Floats
    last_computing_s: Floats
    last_other_s: Floats
    network_s: Floats
    turn_s: Floats
    unseen_s: Floats
    helpers: Integers
    own_s: Floats
    after_trip_s: Floats
    after_asked_s: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Ran:
    """
    What was seen to run on one host: from when to when, and in which share of that time.

    Attributes:
        helpers: Parallel workers beside each query.
        beside: Executions of others that ran at any time, on average.
        after: Cores that queries after a response asked for, on average; when, is not recorded.
    """

    queries: Flags
    helpers: Integers
    begin_s: Floats
    end_s: Floats
    gaps: tuple[Floats, Floats, Floats]
    beside: float
    after: float

    def sharing(self, cores: float, computed: float) -> Sharing:
        start_s, end_s, weight = self.gaps
        return Sharing(
            np.concatenate([self.begin_s, start_s]),
            np.concatenate([self.end_s, end_s]),
            np.concatenate([computed * (1 + self.helpers), weight]),
            cores=max(cores, CORES_MIN),
            beside=self.beside,
        )


def service_of(
    profile: Profile, pieces: Pieces, estate: Estate, *, share: float = 1.0, locked: Flags | None = None
) -> tuple[Service, Estate]:
    """
    Return the service of what *profile* shows, and *estate* with what else its hosts were busy with.

    Args:
        share: Of all requests, that *profile* has; it lasted as long as they took.
        locked: Pieces that took a lock: what the server counted of them has the waiting for it, so it tells nothing.
    """
    requests, request = profile.requests, profile.segments.request
    turns = turns_of(profile, pieces)
    pieces = replace(pieces, own_s=turns.own_s)
    tail_s = requests.arrived_s + requests.latency_s - requests.queue_s
    begun_s, left_at_s = pieces.start_s - pieces.gap_s, tail_s - pieces.left_s
    computing_s, last_computing_s = turns.computing_s.copy(), turns.last_computing_s.copy()
    computes, computes_last = _density(computing_s, pieces.gap_s), _density(last_computing_s, pieces.left_s)

    trip_s = trips(profile, pieces)
    after_trip_s, after_asked_s = _after(profile, pieces, trip_s)
    estate = laid_out(profile, pieces, estate, trip_s)
    spent_s, undisturbed = _spent_at_server(profile, pieces, trip_s, locked)
    helpers = _parallel_workers(profile, pieces)
    asked_s = np.zeros_like(spent_s)
    # A thread's clock stands still while it has no core or no interpreter; the loop's goes on.
    on_loop = ~(estate.threaded | in_thread(pieces, request, len(requests)))
    server_host = hosts_of(profile, estate, profile.parts)[profile.segments.part]
    hosts = list(estate.hosts)
    for place, each in enumerate(estate.hosts):
        queries, ours = pieces.query & (server_host == place), estate.host[requests.process] == place
        begin_s = pieces.start_s[queries] + trip_s[queries]
        ran = _Ran(
            queries=queries,
            helpers=helpers[queries],
            begin_s=begin_s,
            end_s=begin_s + spent_s[queries],
            gaps=_gaps(request, ours, (begun_s, pieces.start_s, computes), (left_at_s, tail_s, computes_last)),
            beside=_beside(profile, estate, place, share),
            after=float(_cores_after(profile, estate, after_asked_s)[place]),
        )
        sharing, free_share, background = _settled(profile, each.name, each.cores - each.background, ran)
        hosts[place] = replace(each, background=each.background + background)
        had_s = np.where(undisturbed[queries], spent_s[queries], sharing.service_s(ran.begin_s, ran.end_s))
        asked_s[queries] = had_s * (1.0 - free_share)
        trip_s[queries] += had_s * free_share
        shared = (ours & on_loop)[request] & (pieces.gap_s > 0)
        computing_s[shared] *= sharing.shares(begun_s[shared], pieces.start_s[shared])
        shared = ours & on_loop & (pieces.left_s > 0)
        last_computing_s[shared] *= sharing.shares(left_at_s[shared], tail_s[shared])
    service = Service(
        trip_s=trip_s,
        asked_s=asked_s,
        computing_s=computing_s,
        other_s=turns.other_s,
        last_computing_s=last_computing_s,
        last_other_s=turns.last_other_s,
        network_s=_network_s(requests, tail_s),
        turn_s=_turn_s(requests, tail_s, profile.processes) if estate.threaded else np.zeros(profile.processes),
        unseen_s=_unseen(profile, pieces, (computing_s, last_computing_s), share),
        helpers=helpers,
        own_s=pieces.own_s,
        after_trip_s=after_trip_s,
        after_asked_s=after_asked_s,
    )
    return service, replace(estate, hosts=tuple(hosts))


def _gaps(
    request: Integers, ours: Flags, inside: tuple[Floats, Floats, Floats], last: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """
    Return begin, end and density of computing of the gaps of *ours*: those before pieces, and those after the last.
    """
    begun_s, ended_s, computed = (
        np.concatenate([before[ours[request]], after[ours]]) for before, after in zip(inside, last, strict=True)
    )
    return begun_s, ended_s, computed


def _density(computing_s: Floats, gap_s: Floats) -> Floats:
    density: Floats = np.divide(computing_s, gap_s, out=np.zeros(len(gap_s)), where=gap_s > 0)
    return density


def _network_s(requests: Requests, ended_s: Floats) -> Floats:
    """
    Return how long each request was on its way to the app: all of its time before it where nobody was before it.
    """
    # Just before it came, or it would count itself where nobody knows of a way before the app.
    alone = held_at(requests.due_s, ended_s, requests.due_s - 2 * ROUNDING_S) == 0
    if alone.sum() < EXECUTIONS_MIN:  # the app is full, and what was waited before it is no way
        return np.minimum(requests.queue_s, min(float(requests.queue_s.min(initial=np.inf)), WAY_S_MAX))
    typical_s = float(np.median(requests.queue_s[alone]))
    network_s: Floats = np.where(alone, requests.queue_s, np.minimum(requests.queue_s, typical_s))
    return network_s


def _turn_s(requests: Requests, ended_s: Floats, processes: int) -> Floats:
    """
    Return how long each process takes from the end of a request to the begin of one that had been waiting.
    """
    found_s = np.zeros(processes)
    for process in range(processes):
        ours = np.flatnonzero(requests.process == process)
        ends_s = np.sort(ended_s[ours])
        place = np.searchsorted(ends_s, requests.arrived_s[ours], side="right") - 1
        freed_s = np.where(place >= 0, ends_s[np.maximum(place, 0)], np.inf)
        waited = requests.due_s[ours] + WAY_S_MAX < freed_s
        if np.isfinite(freed_s[waited]).sum() >= EXECUTIONS_MIN:
            found_s[process] = float(np.median((requests.arrived_s[ours] - freed_s)[waited & np.isfinite(freed_s)]))
    return found_s


def _unseen(profile: Profile, pieces: Pieces, seen: tuple[Floats, Floats], share: float) -> Floats:
    requests, request = profile.requests, profile.segments.request
    computing_s, last_computing_s = seen
    seen_s = np.bincount(requests.process, weights=last_computing_s, minlength=profile.processes)
    seen_s += np.bincount(
        requests.process[request],
        weights=computing_s + np.where(pieces.computes, pieces.own_s, 0.0),
        minlength=profile.processes,
    )
    each = units(pieces, request, len(requests))
    of_process = np.bincount(requests.process, weights=each, minlength=profile.processes)
    after = profile.after
    spent = np.array([part.seam == "cpu" for part in after.parts], dtype=np.bool_)
    if len(after.request):
        weights = np.where(spent[after.part], after.duration_s, 0.0)
        seen_s += np.bincount(requests.process[after.request], weights=weights, minlength=profile.processes)
    unseen_s = np.zeros(profile.processes)
    for place, name in enumerate(profile.process_names):
        host, _, rest = name.partition("/")
        pid = rest.rpartition("/")[2]
        computed_s = profile.beside.workers.get((host, int(pid)), 0.0) if pid.isdecimal() else 0.0
        unseen_s[place] = max(computed_s * share - seen_s[place], 0.0) / max(of_process[place], 1)
    return unseen_s[requests.process] * each


def units(pieces: Pieces, request: Integers, count: int) -> Floats:
    """
    Return how much each request computes unseen, as a multiple of what the server does for any: drivers do the rest.
    """
    queries, opened = (np.bincount(request[each], minlength=count) for each in (pieces.query, pieces.connects))
    return (1.0 + QUERY_UNIT * queries + CONNECT_UNIT * opened).astype(np.float64)


def in_thread(pieces: Pieces, request: Integers, count: int) -> Flags:
    """
    Return which requests were sent to a thread at least once.
    """
    return np.bincount(request[pieces.threads], minlength=count) > 0


def server_of(profile: Profile, estate: Estate, parts: Sequence[Part]) -> Integers:
    """
    Return the database server of each of *parts*.
    """
    return np.array([estate.server.get(label, 0) for label in _databases(profile, parts)], dtype=np.int64)


def hosts_of(profile: Profile, estate: Estate, parts: Sequence[Part]) -> Integers:
    """
    Return the host of the database server of each of *parts*.
    """
    hosts: Integers = np.array(estate.databases)[server_of(profile, estate, parts)]
    return hosts


def _databases(profile: Profile, parts: Sequence[Part]) -> list[str]:
    return [profile.texts[part.name].database if part.name in profile.texts else "" for part in parts]


def trips(profile: Profile, pieces: Pieces) -> Floats:
    """
    Return of each query the round trip to its database: the fastest tenth of its fastest statement.

    What asks for nothing (BEGIN) tells it best; of others only so much is believed.
    """
    part = profile.segments.part
    labels = _databases(profile, profile.parts)
    trip_s = np.zeros(len(part))
    trivial = [is_trivial(profile.text_of(each)) for each in profile.parts]
    for label in sorted(set(labels)):
        ours = pieces.query & np.array([each == label for each in labels], dtype=np.bool_)[part]
        found = [
            min(float(np.quantile(times_s, FASTEST)), np.inf if trivial[place] else TRIP_S_MAX)
            for place in np.unique(part[ours])
            if len(times_s := pieces.own_s[ours & (part == place)]) >= EXECUTIONS_MIN
        ]
        if found:
            trip_s[ours] = np.minimum(min(found), pieces.own_s[ours])
    return trip_s


def _spent_at_server(profile: Profile, pieces: Pieces, trip_s: Floats, locked: Flags | None) -> tuple[Floats, Flags]:
    """
    Return how long each query was at its server: beyond its trip, or as the server itself counted, on average; and
    which of them the server counted as so short that they are done before anybody else has a turn.
    """
    undisturbed = np.zeros(len(trip_s), dtype=np.bool_)
    spent_s = np.maximum(pieces.own_s - trip_s, 0.0)
    counted = _each_s(profile)
    part = profile.segments.part
    for place, name in enumerate(each.name for each in profile.parts):
        if name not in counted:
            continue
        ours = np.flatnonzero(pieces.query & (part == place))
        if locked is not None and locked[ours].any():
            continue
        seen_s = float(spent_s[ours].mean()) if len(ours) else 0.0
        if seen_s > 0:
            each_s = counted[name]
            spent_s[ours] = np.minimum(spent_s[ours] * (each_s / seen_s), pieces.own_s[ours])
            undisturbed[ours] = each_s < TURN_S
    return spent_s, undisturbed


def _counted(profile: Profile) -> dict[str, Executions]:
    """
    Return what the server counted of each statement, in all databases together.
    """
    counted: dict[str, Executions] = {}
    for each in profile.beside.executions:
        known = counted.get(each.statement, Executions(each.statement, each.database, 0, 0.0))
        counted[each.statement] = replace(
            known, calls=known.calls + each.calls, total_s=known.total_s + each.total_s,
            helpers=known.helpers + each.helpers,
        )  # fmt: skip
    return counted


def _each_s(profile: Profile) -> dict[str, float]:
    """
    Return how long an execution took at its server, as that counted, on average, by statement.
    """
    return {name: each.total_s / each.calls for name, each in _counted(profile).items() if each.calls >= EXECUTIONS_MIN}


def _parallel_workers(profile: Profile, pieces: Pieces) -> Integers:
    """
    Return how many parallel workers each query has beside it, as many as its statement has on average.
    """
    counted = _counted(profile)
    of_part = np.zeros(max(len(profile.parts), 1), dtype=np.int64)
    for place, part in enumerate(profile.parts):
        each = counted.get(part.name)
        of_part[place] = round(each.helpers / each.calls) if each is not None and each.calls else 0
    return np.where(pieces.query, of_part[profile.segments.part], 0).astype(np.int64)


def _after(profile: Profile, pieces: Pieces, trip_s: Floats) -> tuple[Floats, Floats]:
    """
    Return of each query after a response its trip, and what it takes of a core.

    When it ran is not recorded, so nothing tells what it waited: it takes what the server counted for its statement,
    or no more than the statement's median.
    """
    after, counted = profile.after, _each_s(profile)
    query = np.array([part.seam == "query" for part in after.parts], dtype=np.bool_)
    label_of = np.array(_databases(profile, profile.parts))[profile.segments.part[pieces.query]]
    trips_s = {label: float(trip_s[pieces.query][label_of == label].max()) for label in set(label_of.tolist())}
    found_s, asked_s = np.zeros(len(after.request)), np.zeros(len(after.request))
    for place, label in enumerate(_databases(profile, after.parts)):
        ours = np.flatnonzero(query[after.part] & (after.part == place))
        if not len(ours):
            continue
        took_s = np.minimum(after.duration_s[ours], np.median(after.duration_s[ours]))
        trip = trips_s.get(label, 0.0)
        each_s = counted.get(after.parts[place].name)
        asked_s[ours] = np.maximum(took_s - trip, 0.0) if each_s is None else np.minimum(took_s, each_s)
        found_s[ours] = np.minimum(trip, took_s - asked_s[ours])
    return found_s, asked_s


def _cores_after(profile: Profile, estate: Estate, asked_s: Floats) -> Floats:
    """
    Return how many cores of each host the queries after a response asked for, on average.
    """
    host = hosts_of(profile, estate, profile.after.parts)[profile.after.part]
    return np.bincount(host, weights=asked_s, minlength=len(estate.hosts)) / max(profile.lasted_s, 1e-9)


def _beside(profile: Profile, estate: Estate, place: int, share: float) -> float:
    """
    Return how many executions that the recorded app did not issue ran on a host at any time, on average.
    """
    if profile.lasted_s <= 0:
        return 0.0
    segments = profile.segments
    issued = np.bincount(segments.part, weights=segments.calls, minlength=len(profile.parts))
    issued_of = {part.name: float(issued[number]) / share for number, part in enumerate(profile.parts)}
    issued_after = np.bincount(profile.after.part, minlength=len(profile.after.parts))
    for number, part in enumerate(profile.after.parts):
        issued_of[part.name] = issued_of.get(part.name, 0.0) + float(issued_after[number]) / share
    total_s = 0.0
    for each in profile.beside.executions:
        if estate.databases[estate.server.get(each.database, 0)] == place:
            others = 1.0 - min(issued_of.get(each.statement, 0.0) / each.calls, 1.0)
            # The two are not counted over quite the same time.
            total_s += each.total_s * (others if others > OTHERS_SHARE_MIN else 0.0)
    return total_s * share / profile.lasted_s


def _settled(profile: Profile, name: str, cores: float, ran: _Ran) -> tuple[Sharing, float, float]:
    """
    Return the sharing on a host, the share of its queries' time that needs no core, and the cores of its background.

    Service is known from the background, and the background from service: what the server's processes computed
    beyond it.  Where they computed less, the queries waited for something else than a core.
    """
    usage = next((each for each in profile.beside.usages if each.host == name.removesuffix(APART)), None)
    known = usage is not None and usage.looked_s >= LOOKED_S_MIN and len(ran.begin_s) and profile.lasted_s > 0
    free_share, background = 0.0, 0.0
    sharing = ran.sharing(cores, 1.0)
    if not known or usage is None:
        return sharing, free_share, background
    for _ in range(ROUNDS):
        had_s = sharing.service_s(ran.begin_s, ran.end_s)
        asked = float((had_s * (1 + ran.helpers)).sum()) / profile.lasted_s + ran.after
        free_share = float(np.clip(1.0 - usage.database / max(asked, 1e-12), 0.0, FREE_SHARE_MAX))
        background = float(np.clip(usage.database - asked, 0.0, max(cores - CORES_MIN, 0.0)))
        # Known one by one, others' executions share the cores as ours do; else they only leave less of them.
        left = cores if ran.beside > 0 else max(cores - background, CORES_SHARE_MIN * cores)
        sharing = ran.sharing(left, 1.0 - free_share)
    return sharing, free_share, background

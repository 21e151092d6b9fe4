"""
Recover from a recording what there was to do, without the waiting, and what there was to do it with.

A request's segments follow one another; between them the app computes.  What it waited for (the event loop, a
thread, a connection, a core) is left out, since the simulation makes it anew; of what took its time because cores
were shared, the share that it had is kept.

In        a Profile
Out       Recovered: the Workload, the Topology, and what could not be known
Not here  whether the twin then reproduces its own recording (calibrate.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rung.steps.measure import CPU, OTHER, QUEUE, Floats, Integers, Part, Profile
from rung.steps.twin.blocking import holding_loop
from rung.steps.twin.blocks import STEPS_MAX, Excerpt, excerpt_of
from rung.steps.twin.estate import Estate, estate_of
from rung.steps.twin.holding import sizes
from rung.steps.twin.pieces import WAITED, Flags, Pieces, pieces_of
from rung.steps.twin.script import ORDERS, Rows, Script
from rung.steps.twin.service import CONNECT_UNIT, FASTEST, QUERY_UNIT, Service, in_thread, server_of, service_of, units
from rung.steps.twin.strands import Piece, joined_steps
from rung.steps.twin.topology import UNLIMITED, Topology, Worker
from rung.steps.twin.trivial import without_waiting
from rung.steps.twin.workload import Op, Step, Workload

WAIT_S_MIN = 1e-3  # shorter ones are the price of a pool, not a wait
LOCK_LOOKS_MIN = 3
ROWS_MAX = 64  # that one statement locks; with more hardly anybody waits
BEFORE_SHARE = 0.5  # of what a process computes unseen for any request, before the app; the rest after it
DRIVER_TRIP_SHARE = 0.9  # of a round trip at most
DRIVER_OPENING_SHARE = 0.9  # of opening a connection at most
HOP_S_MAX = 1e-3  # into a thread that is free; where none ever was, the fastest have waited too
SLOTS_MANY = 4096  # threads of a server that has a new one for each request


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """
    A recording, ready to be run again.

    Attributes:
        request: Which request of the Profile each of the Workload's is.
        lock_wait_s: Of each lock, the mean time that was waited for it.
        took_s: Of each route and part, what its requests took of what they asked of others, service or not.
        notes: What could not be known, in sentences.
    """

    workload: Workload
    topology: Topology
    request: Integers
    notes: tuple[str, ...]
    lock_wait_s: Mapping[int, float]
    took_s: Floats


def recover(profile: Profile, *, steps_max: int = STEPS_MAX) -> Recovered:
    """
    Return the workload and the topology of *profile*; of a long recording the blocks that are to be run.

    Args:
        steps_max: About so many steps are run.
    """
    excerpt = excerpt_of(profile, steps_max=steps_max)
    profile = excerpt.profile
    estate = estate_of(profile)
    pieces = pieces_of(profile)
    # Of others' traces nothing tells whether there is an event loop.
    if not estate.threaded and profile.facts.foreign is None:
        pieces = replace(pieces, holds=holding_loop(profile, pieces))
    held = transactions(profile, pieces)
    pieces = replace(pieces, own_s=without_waiting(profile, pieces, held.number))
    locks = _locks(profile, pieces, held)
    # What waited for a lock was no work of the server's: without it the rest can be told apart.
    quick = replace(pieces, own_s=np.minimum(pieces.own_s, locks.quick_s))
    service, estate = service_of(profile, quick, estate, share=excerpt.share, locked=locks.taken >= 0)
    workload = _Writer(excerpt, pieces, service, estate, held).workload(locks)
    topology = Topology(estate.hosts, _workers(profile, pieces, estate, held), estate.databases)
    took_s = _took_s(profile, pieces, service, workload)
    return Recovered(workload, topology, excerpt.blocks.request, estate.notes, _lock_waits(pieces, locks), took_s)


def _took_s(profile: Profile, pieces: Pieces, service: Service, workload: Workload) -> Floats:
    requests, segments = profile.requests, profile.segments
    took_s = np.zeros((len(workload.routes), len(workload.parts)))
    place = np.array([workload.parts.index(part) for part in profile.parts], dtype=np.int64)
    asks = np.flatnonzero(~pieces.waited & ~pieces.computes & ~pieces.holds)
    np.add.at(took_s, (requests.route[segments.request[asks]], place[segments.part[asks]]), service.own_s[asks])
    took_s[:, workload.parts.index(OTHER)] += np.bincount(
        requests.route, weights=requests.other_s, minlength=len(took_s)
    )
    return took_s


# What is held


@dataclass(frozen=True, slots=True, eq=False)
class Transactions:
    """
    From where to where a connection is held; flags of each piece, and one entry a transaction.

    Attributes:
        takes, gives: Whether a connection is taken before the piece, and given back after it.
        number: Of each piece that a transaction has, which; -1 for the others.
        process, start_s, end_s: Of each transaction; it starts when the connection is there.
    """

    takes: Flags
    gives: Flags
    number: Integers
    process: Integers
    start_s: Floats
    end_s: Floats


def transactions(profile: Profile, pieces: Pieces) -> Transactions:
    """
    Return from where to where each request of *profile* held a connection.
    """
    request = profile.segments.request
    count = len(request)
    takes, gives, number = np.zeros(count, np.bool_), np.zeros(count, np.bool_), np.full(count, -1, dtype=np.int64)
    places = np.flatnonzero(pieces.query | pieces.ends | pieces.pool)
    if not len(places):
        return Transactions(takes, gives, number, places, np.zeros(0), np.zeros(0))
    ours, ends, pool = request[places], pieces.ends[places], pieces.pool[places]
    new = np.concatenate([[True], np.diff(ours) != 0])
    # What is waited for while a connection is held is, as far as can be told, wanted after that one was given back.
    begins = new | np.concatenate([[False], ends[:-1]]) | (pool & ~np.concatenate([[False], pool[:-1]]))
    closes = np.concatenate([begins[1:], [True]])
    takes[places[begins]], gives[places[closes]] = True, True
    number[places] = np.cumsum(begins) - 1
    opened, closed = places[begins], places[closes]
    return Transactions(
        takes=takes,
        gives=gives,
        number=number,
        process=profile.requests.process[request[opened]],
        start_s=np.where(pieces.pool[opened], pieces.end_s[opened], pieces.start_s[opened]),
        end_s=pieces.end_s[closed],
    )


def _workers(profile: Profile, pieces: Pieces, estate: Estate, held: Transactions) -> tuple[Worker, ...]:
    requests, segments = profile.requests, profile.segments
    process = requests.process[segments.request]
    # Who waits for a connection to be opened does not wait for one that somebody holds.
    opened = np.flatnonzero(pieces.connects)
    opening = np.zeros(len(process), dtype=np.bool_)
    opening[opened[opened > 0] - 1] = True
    waits = pieces.pool & (pieces.own_s > WAIT_S_MIN) & ~opening
    pools = sizes(
        profile.processes,
        (held.process, held.start_s, held.end_s),
        (process[waits], pieces.start_s[waits], pieces.end_s[waits]),
    )
    until_s = requests.arrived_s + requests.latency_s - requests.queue_s
    slots = (UNLIMITED,) * profile.processes
    threads = slots
    if estate.threaded:
        queued = requests.queue_s > WAIT_S_MIN
        found = sizes(
            profile.processes,
            (requests.process, requests.arrived_s, until_s),
            (requests.process[queued], requests.due_s[queued], requests.arrived_s[queued]),
        )
        slots = tuple(SLOTS_MANY if size == UNLIMITED else size for size in found)
    elif not _enters_holding(pieces, held):
        threads = _threads(profile, pieces, until_s)
    return tuple(
        Worker(host=int(host), slots=slots[place], pool=pools[place], threads=threads[place])
        for place, host in enumerate(estate.host)
    )


def _enters_holding(pieces: Pieces, held: Transactions) -> bool:
    """
    Return whether a thread is asked for while a connection is held: with too few of both, nobody would go on.
    """
    open_then = np.cumsum(held.takes.astype(np.int64)) - np.cumsum(held.gives.astype(np.int64))
    return bool((open_then[pieces.threads] > 0).any())


def _threads(profile: Profile, pieces: Pieces, until_s: Floats) -> tuple[int, ...]:
    """
    Return the size of each process's thread pool; a thread is had until the next one is asked for, or the request ends.
    """
    places = np.flatnonzero(pieces.threads)
    request = profile.segments.request[places]
    process = profile.requests.process[request]
    follows = np.concatenate([np.diff(request) == 0, [False]]) if len(places) else np.zeros(0, dtype=np.bool_)
    next_s = np.concatenate([pieces.start_s[places][1:], [0.0]]) if len(places) else np.zeros(0)
    waits = pieces.own_s[places] > 10 * WAIT_S_MIN
    return sizes(
        profile.processes,
        (process, pieces.end_s[places], np.where(follows, next_s, until_s[request])),
        (process[waits], pieces.start_s[places][waits], pieces.end_s[places][waits]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Locks:
    """
    Which pieces wait for a lock in the database, and which lock: -1 for none.

    Attributes:
        taken: Of each piece, the lock that is taken before it.
        given: Of each piece, the lock that is given back after it.
        quick_s: Of each piece that takes one, what it takes without waiting.
    """

    taken: Integers
    given: Integers
    quick_s: Floats


def _locks(profile: Profile, pieces: Pieces, held: Transactions) -> Locks:
    count = len(profile.segments)
    taken, given, quick_s = np.full(count, -1), np.full(count, -1), np.full(count, np.inf)
    part = profile.segments.part
    for place, each in enumerate(profile.parts):
        seen = profile.beside.locks.get(each.name)
        if seen is None or seen.waiting < LOCK_LOOKS_MIN:
            continue
        ours = np.flatnonzero(pieces.query & (part == place))
        if not len(ours):
            continue
        # Looks fall onto long executions: what was quick is told by time.
        quick_s[ours] = np.quantile(pieces.own_s[ours], FASTEST) * 1.5
        # One lock at a time, the first of its transaction: two in different orders would never end.
        _, firsts = np.unique(held.number[ours], return_index=True)
        ours = ours[firsts]
        free = ~np.isin(held.number[ours], held.number[np.flatnonzero(taken >= 0)])
        taken[ours[free]] = place
    places = np.flatnonzero(taken >= 0)
    closing = np.flatnonzero(held.gives)
    closer = closing[np.searchsorted(held.number[closing], held.number[places])] if len(places) else places
    # Outside of a transaction a statement's lock is its own.
    given[np.where(pieces.ends[closer], closer, places)] = taken[places]
    return Locks(taken, given, quick_s)


def _lock_waits(pieces: Pieces, locks: Locks) -> dict[int, float]:
    found = {}
    for lock in np.unique(locks.taken[locks.taken >= 0]).tolist():
        ours = locks.taken == lock
        found[lock * ROWS_MAX] = float(np.maximum(pieces.own_s[ours] - locks.quick_s[ours], 0.0).mean())
    return found


# Steps

# Where each step comes within its segment, and at a request's beginning and end.
_GAP, _OTHER, _EXIT, _TAKE, _ENTER, _LOCK, _DELAY, _HELP = range(8)
_ASKED, _DRIVER, _UNLOCK, _GIVE, _ANSWER, _LATER, _TURNED = range(8, 15)


class _Writer:
    """
    Writes the steps of the requests of an excerpt.
    """

    def __init__(self, excerpt: Excerpt, pieces: Pieces, service: Service, estate: Estate, held: Transactions) -> None:
        self.excerpt = excerpt
        self.profile = profile = excerpt.profile
        self.pieces, self.service, self.estate, self.held = pieces, service, estate, held
        self.script = Script()
        self.pool_part = next((part for part in profile.parts if part.seam == "pool"), Part("pool", ""))
        self.parts = list(dict.fromkeys((CPU, *profile.parts, OTHER, QUEUE, self.pool_part, *profile.after.parts)))
        self.place = {part: index for index, part in enumerate(self.parts)}
        self.part = np.array([self.place[each] for each in profile.parts], dtype=np.int64)[profile.segments.part]
        self.server = server_of(profile, estate, profile.parts)[profile.segments.part]
        count = len(profile.requests)
        all_of_them = np.ones(count, dtype=np.bool_)
        # A row for a request's beginning, one for each segment, one for its end, one for each thing that follows it.
        request, after = profile.segments.request, profile.after.request
        everyone = np.arange(count)
        first, first_after = pieces.first, np.searchsorted(after, np.arange(count + 1))
        begins = first[:-1] + first_after[:-1] + 2 * everyone
        self.head = Rows(begins, everyone, all_of_them)
        in_order = ~pieces.side_by_side[request]
        self.rows = Rows(np.arange(len(request)) + first_after[request] + 2 * request + 1, request, in_order)
        self.last = Rows(begins + 1 + np.diff(first), everyone, all_of_them)
        following = np.arange(len(after)) + first[after + 1] + 2 * after + 2
        self.after = Rows(following, after, all_of_them[after])
        self.unseen_s = service.unseen_s
        self.base_s = service.unseen_s / units(pieces, request, count)
        self.driver_s = self._driver_s()

    def _driver_s(self) -> Floats:
        """
        Return what a driver computes of each query's round trip, and of each connection that it opens.
        """
        pieces, service, request = self.pieces, self.service, self.profile.segments.request
        # What was done side by side is written by itself, without it.
        alone = ~pieces.side_by_side[request]
        query, opens = pieces.query & alone, pieces.connects & alone
        each_s = self.base_s[request]
        query_s = np.minimum(each_s * QUERY_UNIT, service.trip_s * DRIVER_TRIP_SHARE)
        opening_s = np.minimum(each_s * CONNECT_UNIT, pieces.own_s * DRIVER_OPENING_SHARE)
        return np.where(opens, opening_s, np.where(query, query_s, 0.0)).astype(np.float64)

    def workload(self, locks: Locks) -> Workload:
        self._segments(locks)
        self._ends()
        self._after()
        self._strands()
        request, op, part, service_s, which = self.script.columns()
        blocks, place, requests = self.excerpt.blocks, self.excerpt.place, self.profile.requests
        # The script is in order of the Profile's requests; blocks are in order of what is due.
        number = np.zeros(len(requests), dtype=np.int64)
        number[place] = np.arange(len(place))
        order = np.argsort(number[request], kind="stable")
        counts = np.bincount(number[request], minlength=len(place))
        return Workload(
            routes=self.profile.routes,
            parts=tuple(self.parts),
            route=requests.route[place],
            worker=requests.process[place],
            due_s=blocks.due_s,
            counted=blocks.counted,
            first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            op=op[order],
            part=part[order],
            service_s=service_s[order],
            which=which[order],
        )

    def _segments(self, locks: Locks) -> None:
        pieces, service, held, rows, place = self.pieces, self.service, self.held, self.rows, self.place
        put, mark, part = self.script.put, self.script.mark, self.part
        put(rows, _GAP, Op.COMPUTE, place[CPU], service.computing_s)
        put(rows, _OTHER, Op.DELAY, place[OTHER], service.other_s)
        only = ~pieces.query & ~pieces.waited & ~pieces.computes & ~pieces.holds
        driver_s = self.driver_s
        put(rows, _DELAY, Op.DELAY, part, np.where(only, pieces.own_s, service.trip_s) - driver_s)
        put(rows, _DRIVER, Op.COMPUTE, part, driver_s)
        for number in range(int(service.helpers.max(initial=0))):
            put(rows, _HELP, Op.HELP, part, np.where(service.helpers > number, service.asked_s, 0.0), self.server)
        put(rows, _ASKED, Op.EXECUTE, part, np.where(pieces.query, service.asked_s, 0.0), self.server)
        put(rows, _ASKED, Op.COMPUTE, part, np.where(pieces.computes, pieces.own_s, 0.0))
        put(rows, _ASKED, Op.HOLD, part, np.where(pieces.holds, pieces.own_s, 0.0))
        mark(rows, _TAKE, Op.TAKE, place[self.pool_part], held.takes)
        mark(rows, _GIVE, Op.GIVE, place[self.pool_part], held.gives)
        mark(rows, _LOCK, Op.LOCK, part, locks.taken >= 0, locks.taken * ROWS_MAX)
        mark(rows, _UNLOCK, Op.UNLOCK, part, locks.given >= 0, locks.given * ROWS_MAX)
        if self.estate.threaded:
            return
        request = self.profile.segments.request
        before = np.concatenate([[0], np.cumsum(pieces.threads)])
        mark(rows, _EXIT, Op.EXIT, part, pieces.threads & (before[:-1] > before[pieces.first[request]]))
        mark(rows, _ENTER, Op.ENTER, part, pieces.threads)
        threads_s = pieces.own_s[pieces.threads]
        hop_s = min(float(np.quantile(threads_s, FASTEST)), HOP_S_MAX) if len(threads_s) else 0.0
        put(rows, _DELAY, Op.DELAY, part, np.where(pieces.threads, np.minimum(pieces.own_s, hop_s), 0.0))

    def _ends(self) -> None:
        service, place, everyone = self.service, self.place, np.ones(len(self.profile.requests), dtype=np.bool_)
        put, before_s = self.script.put, self.base_s * BEFORE_SHARE
        put(self.head, _DELAY, Op.DELAY, place[QUEUE], np.maximum(service.network_s - before_s, 0.0))
        put(self.head, _ASKED, Op.COMPUTE, place[CPU], np.minimum(before_s, service.network_s))
        left_s = self.unseen_s - np.bincount(
            self.profile.segments.request, weights=self.driver_s, minlength=len(everyone)
        )
        left_s -= np.minimum(before_s, service.network_s)
        put(self.last, _LATER, Op.COMPUTE, place[CPU], np.maximum(left_s, 0.0))
        turn_s = service.turn_s[self.profile.requests.process] - np.maximum(left_s, 0.0)
        put(self.last, _TURNED, Op.DELAY, place[OTHER], np.maximum(turn_s, 0.0))
        self.script.put(self.last, _GAP, Op.COMPUTE, place[CPU], service.last_computing_s)
        self.script.put(self.last, _OTHER, Op.DELAY, place[OTHER], service.last_other_s)
        if not self.estate.threaded:
            entered = in_thread(self.pieces, self.profile.segments.request, len(everyone))
            self.script.mark(self.last, _EXIT, Op.EXIT, place[CPU], entered & ~self.pieces.side_by_side)
        self.script.mark(self.last, _ANSWER, Op.ANSWER, place[CPU], everyone)

    def _after(self) -> None:
        after = self.profile.after
        if not len(after.request):
            return
        seams = np.array([part.seam for part in after.parts], dtype=object)[after.part]
        part = np.array([self.place[each] for each in after.parts], dtype=np.int64)[after.part]
        query, computes = seams == "query", seams == "cpu"
        rest = ~query & ~computes & ~np.isin(seams, list(WAITED))
        server = server_of(self.profile, self.estate, after.parts)[after.part]
        put = self.script.put
        put(self.after, _DELAY, Op.DELAY, part, self.service.after_trip_s)
        put(self.after, _ASKED, Op.COMPUTE, part, np.where(computes, after.duration_s, 0.0))
        put(self.after, _ASKED, Op.EXECUTE, part, self.service.after_asked_s, server)
        put(self.after, _ASKED, Op.DELAY, part, np.where(rest, after.duration_s, 0.0))

    def _strands(self) -> None:
        for request in np.flatnonzero(self.pieces.side_by_side).tolist():
            low, high = int(self.pieces.first[request]), int(self.pieces.first[request + 1])
            steps = self._strands_of(low, high)
            columns = list(zip(*steps, strict=True))
            self.script.add(
                self.rows.place[low] * ORDERS + np.arange(len(steps)),
                np.full(len(steps), request),
                *(np.array(column) for column in columns),
            )

    def _strands_of(self, low: int, high: int) -> list[Step]:
        pieces, service = self.pieces, self.service
        done, gaps = [], []
        waits: list[tuple[float, float]] = []
        gap: list[Step] = []
        for at in range(low, high):
            for op, part, service_s in (
                (Op.COMPUTE, self.place[CPU], float(service.computing_s[at])),
                (Op.DELAY, self.place[OTHER], float(service.other_s[at])),
            ):
                if service_s > 0:
                    gap.append((op, part, service_s, 0))
            if pieces.waited[at]:
                waits.append((float(pieces.start_s[at]), float(pieces.end_s[at])))
                continue
            steps: list[Step] = []
            part = int(self.part[at])
            if pieces.query[at]:
                steps.append((Op.DELAY, part, float(service.trip_s[at]), 0))
                executed = part, float(service.asked_s[at]), int(self.server[at])
                steps += [(Op.HELP, *executed)] * int(service.helpers[at]) + [(Op.EXECUTE, *executed)]
            else:
                op = Op.COMPUTE if pieces.computes[at] else Op.DELAY
                steps.append((op, part, float(pieces.own_s[at]), 0))
            connected = bool(pieces.query[at] or pieces.ends[at])
            done.append(Piece(float(pieces.start_s[at]), float(pieces.end_s[at]), tuple(steps), connected))
            gaps.append(gap)
            gap = []
        pool = self.place[self.pool_part]
        return joined_steps(done, waits, pool=pool, other=self.place[OTHER], gaps=gaps) + gap

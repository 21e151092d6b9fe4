"""
Make requests of one trace: which span is one, what it waited for, and what went on after it.

In        the Spans of a trace, in order of begin
Out       Units: a request, a job, or what went on after one, with its segments
Not here  what a span is (meaning.py), rows of a recording (converting.py)

Spans of several processes have several clocks. What a process was asked for within a call of another one cannot have
begun before that call: its spans are moved together, halfway between begin and end of the call where they fit in, as
Jaeger does.
"""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass, field

from rung.adapters.foreign.meaning import EXTERNAL, INSIDE, JOB, REQUEST, THROUGH, Span
from rung.adapters.foreign.span import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, UNSPECIFIED, Account

SEGMENTS_MAX = 2_000  # as the recorder: further ones are summed up by what they are
ROOTS_LOOKED_AT = 64  # of one process in one trace, back from when a span without its parent began
NONE = -1
# A wait inside of a wait of its kind is one that two instrumentations saw.
SEEN_ONCE = frozenset({"query", "commit", "cache", "external", "job"})
SKEW_S_MIN = 2e-6  # Jaeger counts in microseconds


@dataclass(slots=True)
class Segment:
    """
    One thing that a unit waited for or spent time in; times count from the unit's begin.
    """

    seam: str
    name: str
    database: str
    parent: int
    start_s: float
    lasted_s: float
    rows: int
    calls: int = 1


@dataclass(slots=True)
class Unit:
    """
    One unit of work.

    Attributes:
        root: Its span, or that of the request it comes after.
        arrived_s: On the clock of whoever called, where that is known.
        follows: Whether it is what went on after the request.
    """

    root: Span
    arrived_s: float
    lasted_s: float
    follows: bool = False
    segments: list[Segment] = field(default_factory=list)


def units_of(spans: list[Span], account: Account, services: list[str]) -> list[Unit]:
    """
    Return the units of one trace, what follows a request after it.

    Args:
        services: The service that each process is of.
    """
    return _Trace(_each_once(spans, account), account, services).units()


def _each_once(spans: list[Span], account: Account) -> list[Span]:
    met: set[tuple[str, int, int]] = set()
    kept = []
    for span in spans:
        key = span.span, span.process, span.kind
        if key in met:
            account.note("duplicates")
            continue
        met.add(key)
        kept.append(span)
    return kept


class _Trace:
    def __init__(self, spans: list[Span], account: Account, services: list[str]) -> None:
        self.spans, self._account, self._services = spans, account, services
        self._by_id: dict[str, list[int]] = {}
        for place, span in enumerate(spans):
            self._by_id.setdefault(span.span, []).append(place)
        self._parent = [self._parent_of(place) for place in range(len(spans))]
        self._roots = [place for place in range(len(spans)) if self._is_root(place)]
        self._roots_of: dict[int, list[int]] = {}
        for place in self._roots:
            self._roots_of.setdefault(spans[place].process, []).append(place)
        self._inside: dict[int, list[int]] = {}
        self._called: dict[int, str] = {}
        self._seen = [False] * len(spans)

    def _parent_of(self, place: int) -> int:
        span = self.spans[place]
        # Zipkin's way, which Jaeger keeps: both ends of a call have one id.
        for other in self._by_id[span.span]:
            if span.kind == SERVER and other != place and self.spans[other].kind == CLIENT:
                return other
        known = [each for each in self._by_id.get(span.parent, ()) if each != place] if span.parent else []
        near = [each for each in known if self.spans[each].process == span.process]
        # Of both ends of a call the one of this process; where both are, the one that was called.
        return max(near or known, key=lambda each: self.spans[each].kind == SERVER, default=NONE)

    def _is_root(self, place: int) -> bool:
        span, parent = self.spans[place], self._parent[place]
        if span.role not in (REQUEST, JOB):
            # A command or a timer of the app's own, by nobody called.
            return not span.parent and span.kind in (INTERNAL, UNSPECIFIED) and span.role == INSIDE
        if parent == NONE or self.spans[parent].process != span.process:
            return True
        return span.remote is True or self.spans[parent].kind in (CLIENT, PRODUCER)

    def units(self) -> list[Unit]:
        roots = set(self._roots)
        tops = []
        for place, parent in enumerate(self._parent):
            if place in roots:
                if parent != NONE and self.spans[parent].role == EXTERNAL:
                    self._called[parent] = self._services[self.spans[place].process]
            elif parent == NONE or self.spans[parent].process != self.spans[place].process:
                tops.append(place)
            else:
                self._inside.setdefault(parent, []).append(place)
        for place in tops:
            self._adopt(place)
        shift_s = self._shifts()
        made = [unit for place in self._roots for unit in self._unit(place, shift_s.get(place, 0))]
        # Spans whose parents go round in a circle are below no root.
        self._account.counts["orphans"] += sum(not seen for seen in self._seen)
        return made

    def _adopt(self, place: int) -> None:
        """
        Give a span whose parent is missing to the request of its process that was under way, if there is one.
        """
        span = self.spans[place]
        roots = self._roots_of.get(span.process, [])
        begun = bisect.bisect_right(roots, span.start_s, key=lambda root: self.spans[root].start_s)
        near = reversed(roots[max(begun - ROOTS_LOOKED_AT, 0) : begun])
        around = next((root for root in near if span.start_s < self.spans[root].end_s), NONE)
        if span.parent and around != NONE:
            self._account.note("adopted")
            self._inside.setdefault(around, []).append(place)
            return
        what = "orphans" if span.parent else "outside"
        for each in self._below(place):
            self._seen[each] = True
            self._account.note(what)

    def _below(self, place: int) -> list[int]:
        found, waiting = [], deque([place])
        while waiting:
            found.append(waiting.popleft())
            waiting += self._inside.get(found[-1], ())
        return found

    def _shifts(self) -> dict[int, float]:
        """
        Return by how much the spans of each root are moved.
        """
        owner = {below: root for root in self._roots for below in self._below(root)}
        shifts: dict[int, float] = {}
        for root in self._roots:
            chain = {root: None}
            last = root
            # From the outermost caller inwards, since a call that is moved takes with it what it called.
            while (caller := self._parent[last]) != NONE:
                above = owner.get(caller, NONE)
                if above == NONE or above in shifts or above in chain:
                    break
                chain[above] = None
                last = above
            for each in reversed(chain):
                caller = self._parent[each]
                moved_s = shifts.get(owner.get(caller, NONE), 0) if caller != NONE else 0
                shifts[each] = self._shift(self.spans[each], self.spans[caller], moved_s) if caller != NONE else 0
        return shifts

    def _shift(self, span: Span, caller: Span, moved_s: float) -> float:
        if span.process == caller.process:
            return moved_s
        early_s = caller.start_s + moved_s - span.start_s
        late_s = span.end_s - (caller.end_s + moved_s)
        if span.kind == CONSUMER or caller.kind == PRODUCER:
            late_s = 0  # whoever takes a message up does so after the call
        if early_s <= SKEW_S_MIN and (late_s <= SKEW_S_MIN or span.start_s >= caller.end_s + moved_s):
            return 0
        self._account.note("shifted")
        room_s = (caller.end_s - caller.start_s) - (span.end_s - span.start_s)
        return early_s + max(room_s, 0.0) / 2

    def _unit(self, place: int, shift_s: float) -> list[Unit]:
        root = self.spans[place]
        first = Unit(root, max(root.start_s + shift_s, 0), root.end_s - root.start_s)
        after = Unit(root, 0, 0, follows=True)
        # What each span was made: the unit, the segment in it, and its seam; what is passed through has its parent's.
        made: dict[int, tuple[Unit, int, str]] = {place: (first, NONE, "")}
        during: dict[int, Segment] = {}
        late: dict[int, Segment] = {}
        ended_s = 0.0
        self._seen[place] = True
        members = self._below(place)[1:]
        order = sorted(members, key=lambda each: self.spans[each].start_s)
        numbers = {each: number for number, each in enumerate(order)}
        for each in members:  # parents before what is inside of them
            self._seen[each] = True
            span = self.spans[each]
            above, around, seam = made[self._outer(each, place)]
            role = INSIDE if span.role in (REQUEST, JOB) else span.role
            if span.role in (THROUGH, REQUEST) or (role == seam and role in SEEN_ONCE):
                made[each] = above, around, seam
                continue
            is_late = span.start_s >= root.end_s > root.start_s
            unit, held = (after, late) if is_late else (first, during)
            held[numbers[each]] = self._segment(span, each, role, around if above is unit else NONE, root)
            made[each] = unit, numbers[each], role
            if is_late:
                ended_s = max(ended_s, span.end_s)
        first.segments = _numbered(during)
        if not late:
            return [first]
        begin_s = min(segment.start_s for segment in late.values())
        after.arrived_s = first.arrived_s + begin_s
        after.lasted_s = ended_s - root.start_s - begin_s
        after.segments = _numbered(late, begin_s)
        return [first, after]

    def _outer(self, place: int, root: int) -> int:
        parent = self._parent[place]
        # One that was adopted has a parent that is not there.
        return parent if parent != NONE and self.spans[parent].process == self.spans[place].process else root

    def _segment(self, span: Span, place: int, seam: str, parent: int, root: Span) -> Segment:
        early_s = root.start_s - span.start_s
        if early_s > SKEW_S_MIN:
            self._account.note("shifted")
        called = self._called.get(place)
        name = f"{span.name} {called}" if called else span.name
        return Segment(seam, name, span.database, parent, max(-early_s, 0), span.end_s - span.start_s, span.rows)


def _numbered(waiting: dict[int, Segment], begin_s: float = 0) -> list[Segment]:
    """
    Return the segments of one unit in order of begin, numbered anew; from SEGMENTS_MAX on summed up.
    """
    chosen = sorted(waiting)
    places = {number: place for place, number in enumerate(chosen[:SEGMENTS_MAX])}
    kept = [waiting[number] for number in places]
    for segment in kept:
        segment.parent = places.get(segment.parent, NONE)
        segment.start_s -= begin_s
    sums: dict[tuple[str, str, str], Segment] = {}
    for number in chosen[SEGMENTS_MAX:]:
        segment = waiting[number]
        key = segment.seam, segment.name, segment.database
        if key in sums:
            sums[key].calls += 1
            sums[key].lasted_s += segment.lasted_s
        else:
            segment.parent, segment.rows, segment.start_s = NONE, NONE, segment.start_s - begin_s
            sums[key] = segment
    return kept + list(sums.values())

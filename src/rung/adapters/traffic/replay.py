"""
Make a plan of what was recorded: the same arrivals on the same routes, with values that the recording does not hold.

A recording has route templates and hashed sessions, never values.  The values come from a load file; requests of one
recorded session are sent as one virtual user, who keeps the cookies that it is given.

In        a recording, what the load file says of its routes, how fast to go, whether writes may be sent
Out       a Plan; what of the recording was left out, and why
Not here  asking a database for values (values.py), sending (sender.py), again() of the demo (adapters/sample.py)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rung.adapters.opening import opened
from rung.adapters.traffic.load_file import placeholders
from rung.adapters.traffic.plan import METHODS, REQUESTS_MAX, Plan, Recorded, Route, Template, checked
from rung.adapters.traffic.schedule import picks, stream
from rung.errors import BadValue, ReplayRefused
from rung.ports import Rows
from rung.steps.measure.questions import over_kept, sql
from rung.steps.measure.traffic import PARAMETER, shape

UNMATCHED = "(unmatched)"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
QUERY = "SELECT … ORDER BY random() LIMIT 1000"

# Moments count from the first arrival that is known, as in requests.sql of steps/measure.  Digests of sessions become
# small numbers here: as a column with NULLs they would come as floats, which cannot tell them apart.
ARRIVALS = """
, due as (
    select *, arrived_s - coalesce(queue_s, 0) as due_s from kept
),
origin as (
    select coalesce(min(due_s) filter (where queue_s is not null), min(due_s)) as began_s from due
)
select
    method,
    route,
    due_s - began_s as due_s,
    case when session is null then -1 else dense_rank() over (order by session nulls last) - 1 end as session
from due, origin
order by due_s, number
"""
HEALTH = """
select
    (select count(*) from requests where coalesce(kind, 'request') = 'request' and not coalesce(exemplar, false))
    - (select count(*) from traffic) as requests
"""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """
    Requests of a recording that are not sent again, and why: the rest of a sentence that begins with their number.
    """

    requests: int
    why: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """
    What a replay takes from a recording.

    Attributes:
        recording: Its name.
        speed: 2 halves the time between arrivals.
        sessions: Recorded sessions, each a virtual user of its own.
        left_out: What is not sent, the most frequent first.
    """

    recording: str
    speed: float
    sessions: int
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """
    The requests of a recording in the order in which they were due.

    Attributes:
        recording: Its name.
        routes: Method and template of each distinct route.
        due_s: Seconds since the first arrival that is known; what came before is below zero.
        route: Positions in *routes*.
        session: A number for each session; -1 for none.
        health: Health checks, which are no traffic.
        counted: Requests that were counted but not kept whole: nobody knows when they arrived.
    """

    recording: str
    routes: tuple[tuple[str, str], ...]
    due_s: NDArray[np.float64]
    route: NDArray[np.int64]
    session: NDArray[np.int64]
    health: int = 0
    counted: int = 0


def read_arrivals(folder: Path) -> Arrivals:
    """
    Return when which route of the recording in *folder* was asked for, and by whom.

    Raises:
        RecordingBroken: it cannot be read.
    """
    recording = opened(folder)
    rows = recording.rows(Rows(sql("kept") + ARRIVALS))
    pairs = list(zip(rows["method"].tolist(), rows["route"].tolist(), strict=True))
    routes = tuple(sorted(set(pairs)))
    place = {pair: index for index, pair in enumerate(routes)}
    return Arrivals(
        recording=folder.resolve().name,
        routes=routes,
        due_s=rows["due_s"].astype(np.float64),
        route=np.fromiter(map(place.__getitem__, pairs), dtype=np.int64, count=len(pairs)),
        session=rows["session"].astype(np.int64),
        health=int(recording.rows(Rows(sql("kept") + HEALTH))["requests"][0]),
        counted=int(recording.rows(Rows(over_kept("totals")))["requests"].sum()),
    )


def replay_plan(
    arrivals: Arrivals,
    template: Template,
    *,
    speed: float = 1.0,
    writes: bool = False,
    duration_s: float | None = None,
    seed: int = 1,
) -> tuple[Plan, Replayed]:
    """
    Return the plan that sends *arrivals* again, and what it leaves out.

    Args:
        speed: 2 sends them in half of the time.
        writes: Whether POST, PUT, PATCH and DELETE may be sent: only against a database declared disposable.
        duration_s: Send only what is due before it, seconds of the replay.

    Raises:
        BadValue: a speed that is not positive.
        ReplayRefused: everything is left out, or a route needs values or a body that *template* does not have.
    """
    if not (np.isfinite(speed) and speed > 0):
        raise BadValue("--speed", speed, expected="a factor above 0, such as 2")
    at_s = arrivals.due_s / speed
    wanted, left_out = _chosen(arrivals, at_s, writes=writes, duration_s=duration_s)
    if not wanted.any():
        why = "; ".join(f"{each.requests} {each.why}" for each in left_out) or "it holds no request"
        raise ReplayRefused(f"nothing of {arrivals.recording} can be replayed", why=f"Left out: {why}.")
    at_s, recorded, session = at_s[wanted], arrivals.route[wanted], arrivals.session[wanted]
    asked = {number: arrivals.routes[number] for number in np.unique(recorded).tolist()}
    choices = _routes_for(asked, template)

    routes: list[Route] = []
    route = np.zeros(len(recorded), dtype=np.int64)
    for number, several in choices.items():
        places = np.flatnonzero(recorded == number)
        name = " ".join(asked[number])
        route[places] = len(routes) + picks(stream(seed, "routes", name), [one.weight for one in several], len(places))
        routes += several
    # Numbers of sessions that are all there, so that values drawn for each of them take no more than they need.
    known, session = np.unique(session, return_inverse=True)
    anonymous = int(len(known) > 0 and known[0] < 0)
    lasts_s = max(float(at_s[-1]), 1.0) if duration_s is None else duration_s
    plan = Plan(
        tuple(routes), len(at_s) / lasts_s, lasts_s, seed, Recorded(at_s, route, session.astype(np.int64) - anonymous)
    )
    return checked(plan), Replayed(arrivals.recording, speed, len(known) - anonymous, left_out)


def _chosen(
    arrivals: Arrivals, at_s: NDArray[np.float64], *, writes: bool, duration_s: float | None
) -> tuple[NDArray[np.bool_], tuple[LeftOut, ...]]:
    """
    Return which requests to send; of the others, each is counted under the first reason that holds.
    """
    unmatched = np.array([not path or path == UNMATCHED for _, path in arrivals.routes], dtype=bool)[arrivals.route]
    writing = np.array([method not in READING for method, _ in arrivals.routes], dtype=bool)[arrivals.route]
    unsendable = np.array([method not in METHODS for method, _ in arrivals.routes], dtype=bool)[arrivals.route]
    beyond = at_s >= duration_s if duration_s is not None else np.zeros(len(at_s), dtype=bool)
    wanted = np.ones(len(at_s), dtype=bool)
    reasons = [
        ("before the load began", at_s < 0),
        ("due after the duration that was asked for", beyond),
        ("that no route of the app matched", unmatched),
        ("writes ({}): the database is not declared disposable", writing & (not writes)),
        ("with a method that rung does not send", unsendable),
    ]
    left_out = [
        LeftOut(arrivals.health, "health checks"),
        LeftOut(arrivals.counted, "counted only: windows of time were recorded"),
    ]
    for why, which in reasons:
        goes = wanted & which
        left_out.append(LeftOut(int(np.count_nonzero(goes)), why.format(_by_method(arrivals, goes))))
        wanted &= ~which
    told = sorted((each for each in left_out if each.requests), key=lambda each: -each.requests)
    # A run's arrivals are held in memory, whole.
    if np.count_nonzero(wanted) > REQUESTS_MAX:
        raise BadValue(
            "--replay", arrivals.recording, expected=f"at most {REQUESTS_MAX} requests; --duration 1h takes fewer"
        )
    return wanted, tuple(told)


def _by_method(arrivals: Arrivals, which: NDArray[np.bool_]) -> str:
    times: Counter[str] = Counter()
    for number, requests in enumerate(np.bincount(arrivals.route[which], minlength=len(arrivals.routes)).tolist()):
        times[arrivals.routes[number][0]] += requests
    return ", ".join(f"{requests} {method}" for method, requests in times.most_common() if requests)


def _routes_for(asked: Mapping[int, tuple[str, str]], template: Template) -> dict[int, list[Route]]:
    """
    Return for each recorded route those of the load file that stand for it, or the recorded one with shared values.

    Raises:
        ReplayRefused: there is one for which neither is enough; others like it are named.
    """
    by_shape: dict[tuple[str, str], list[Route]] = {}
    for one in template.routes:
        by_shape.setdefault((one.method, shape(one.stands_for or one.path)), []).append(one)
    found: dict[int, list[Route]] = {}
    lacking: dict[str, list[str]] = {}
    for number, (method, path) in asked.items():
        given = by_shape.get((method, shape(path)), [])
        if given:
            found[number] = given
            continue
        names = [name for name in dict.fromkeys(PARAMETER.findall(path)) if name not in template.values]
        if names or method in WITH_BODY:
            lacking[f"{method} {path}"] = names
        route = Route(path, method, headers=template.headers)
        used = set(placeholders(route))
        values = {name: value for name, value in template.values.items() if name in used}
        found[number] = [replace(route, values=values)]
    if lacking:
        raise _incomplete(lacking)
    return found


def _incomplete(lacking: Mapping[str, list[str]]) -> ReplayRefused:
    """
    Return the error that names the first route of *lacking*, what to write for it, and how many others there are.
    """
    (route, names), *others = lacking.items()
    method, _, path = route.partition(" ")
    table = f'[[routes]] with method = "{method}", path = "{path}"'
    if names:
        what = f"values for {', '.join(f'{{{name}}}' for name in names)}"
        top = f'values.{names[0]} = {{ query = "{QUERY}" }}'
        why = (
            f"A recording holds routes, never values. Write at the top of the load file {top} (or {{ from = 1, to = "
            f"1000 }}, or {{ values = [ … ] }}) for every route with {{{names[0]}}}; or for this one {table} and a "
            f"routes.values.{names[0]} of its own."
        )
    else:
        what = "a table that says its body, if any"
        why = f"A recording holds no bodies. Write into the load file {table}, and json or form, or neither."
    told = f"; so do {', '.join(other for other, _ in others[:3])}" if others else ""
    told += f" and {len(others) - 3} more" if len(others) > 3 else ""
    return ReplayRefused(f"cannot replay {route}: it needs {what}{told}", why=why, routes=tuple(lacking))

"""
Draw the requests of a plan: when each is due, which route it takes, and the values in it.

The same plan gives the same requests, always, so that before and after a change the very same traffic arrives.
Each thing that is drawn has its own stream of random numbers, named by what it is: a route added to a plan, or a
longer run, leaves the values of the other routes as they were.

In        a Plan
Out       a Schedule: columns, of which each request is made only when it is asked for
Not here  clocks and sockets (sender.py)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload
from urllib.parse import quote, quote_plus

import numpy as np
from numpy.typing import NDArray

from rung.adapters.traffic.plan import PLACEHOLDER, REQUESTS_MAX, Choice, Json, Plan, Query, Recorded, Route, Value

Drawn = str | int

# What a path may hold as it stands; the rest (spaces, letters beyond ASCII) is percent-encoded.
_PATH_SAFE = "/?&=:@!$'()*+,;%~[]{}|"


@dataclass(frozen=True, slots=True)
class Due:
    """
    One request, complete to the last byte; *at_s* is seconds since the start of the run.

    Attributes:
        session: Whose request it is, of those whose cookies are kept; -1: nobody's.
    """

    at_s: float
    route: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    content_type: str | None
    session: int = -1


class Schedule(Sequence[Due]):
    """
    All requests of a plan in the order in which they are due.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        whole = plan.recorded if plan.recorded is not None else _drawn_arrivals(plan)
        self.at_s, self.route, self.session = whole.at_s, whole.route, whole.session
        self._ordinal, self._drawn = _values(plan, whole)

    def __len__(self) -> int:
        return len(self.at_s)

    @overload
    def __getitem__(self, index: int) -> Due: ...
    @overload
    def __getitem__(self, index: slice) -> list[Due]: ...
    def __getitem__(self, index: int | slice) -> Due | list[Due]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        number = int(self.route[index])
        route, ordinal = self.plan.routes[number], int(self._ordinal[index])
        values = {
            name: _value(route.values[name], int(column[ordinal])) for name, column in self._drawn[number].items()
        }
        body, content_type = _body(route, values)
        return Due(
            at_s=float(self.at_s[index]),
            route=number,
            method=route.method,
            path=quote(
                PLACEHOLDER.sub(lambda found: quote(str(values[found[1]]), safe=""), route.path), safe=_PATH_SAFE
            ),
            headers=tuple((name, _fill(text, values)) for name, text in route.headers.items()),
            body=body,
            content_type=content_type,
            session=int(self.session[index]),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.plan == other.plan

    __hash__ = None  # type: ignore[assignment]


class Part(Sequence[Due]):
    """
    What of a Schedule is due from *since_s* to before *until_s*, counted from *since_s*.
    """

    def __init__(self, whole: Schedule, since_s: float, until_s: float) -> None:
        self.whole, self.since_s = whole, since_s
        self.places = range(*np.searchsorted(whole.at_s, [since_s, until_s]).tolist())

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Due: ...
    @overload
    def __getitem__(self, index: slice) -> list[Due]: ...
    def __getitem__(self, index: int | slice) -> Due | list[Due]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        due = self.whole[self.places[index]]
        return replace(due, at_s=due.at_s - self.since_s)


def schedule(plan: Plan) -> Schedule:
    """
    Return the requests of *plan*; the same plan gives the same requests.

    >>> plan = Plan((Route("/items/{item}", values={"item": Choice((7, 8))}),), rate_per_s=10, duration_s=60, seed=7)
    >>> list(schedule(plan)) == list(schedule(plan))
    True
    """
    return Schedule(plan)


def arrivals(random: np.random.Generator, *, rate_per_s: float, duration_s: float) -> NDArray[np.float64]:
    """
    Return ascending times in [0, *duration_s*) of a Poisson process: as people arrive who do not know each other.

    A longer *duration_s* only adds to the end.
    """
    expected = rate_per_s * duration_s
    count = min(int(expected + 10 * expected**0.5 + 20), REQUESTS_MAX + 20_000)
    at_s = np.cumsum(random.standard_exponential(count)) / rate_per_s
    return at_s[at_s < duration_s][:REQUESTS_MAX]


def picks(random: np.random.Generator, weights: Sequence[float], count: int) -> NDArray[np.int64]:
    """
    Return *count* positions in *weights*, each as often as its weight says.
    """
    edges = np.cumsum(np.array(weights) / np.sum(weights))
    # The last edge may be a rounding error below 1.
    return np.minimum(np.searchsorted(edges, random.random(count), side="right"), len(edges) - 1)


def draws(random: np.random.Generator, value: Value, count: int) -> NDArray[np.int64]:
    """
    Return *count* drawn numbers; of a Choice, the positions of its values.
    """
    assert not isinstance(value, Query), "the database was not asked: values.answered"
    if isinstance(value, Choice):
        return random.integers(0, len(value.values), count, dtype=np.int64)
    if value.skew is None:
        return random.integers(value.low, value.high, count, dtype=np.int64, endpoint=True)
    ranks = np.arange(1, value.high - value.low + 2, dtype=np.float64)
    edges = np.cumsum(ranks**-value.skew)
    found = np.searchsorted(edges, random.random(count) * edges[-1], side="right")
    drawn: NDArray[np.int64] = np.minimum(found, len(edges) - 1).astype(np.int64) + value.low
    return drawn


def stream(seed: int, *names: str) -> np.random.Generator:
    """
    Return the random numbers that belong to what *names* name.
    """
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    words = [int.from_bytes(digest[at : at + 4], "little") for at in range(0, 16, 4)]
    return np.random.Generator(np.random.PCG64([seed, *words]))


def _drawn_arrivals(plan: Plan) -> Recorded:
    at_s = arrivals(stream(plan.seed, "arrivals"), rate_per_s=plan.rate_per_s, duration_s=plan.duration_s)
    route = picks(stream(plan.seed, "routes"), [route.weight for route in plan.routes], len(at_s))
    return Recorded(at_s, route, np.full(len(at_s), -1, dtype=np.int64))


def _values(plan: Plan, whole: Recorded) -> tuple[NDArray[np.int64], list[dict[str, NDArray[np.int64]]]]:
    """
    Return each request's place among those of its route, and by route and name the values in that order.
    """
    ordinal = np.zeros(len(whole.route), dtype=np.int64)
    drawn: list[dict[str, NDArray[np.int64]]] = []
    seen: dict[str, int] = {}
    for number, one in enumerate(plan.routes):
        places = np.flatnonzero(whole.route == number)
        ordinal[places] = np.arange(len(places))
        # The same path may stand in a plan twice; each has a stream of its own.
        twin = seen[one.name] = seen.get(one.name, -1) + 1
        drawn.append(
            {
                name: _column(plan.seed, (one.name, str(twin), name), value, whole.session[places])
                for name, value in one.values.items()
            }
        )
    return ordinal, drawn


def _column(seed: int, names: tuple[str, ...], value: Value, session: NDArray[np.int64]) -> NDArray[np.int64]:
    anew = draws(stream(seed, *names), value, len(session))
    if not value.per_session or not len(session):
        return anew
    # Named by the value alone: a session has the same one on each route.
    of_session = draws(stream(seed, "session", names[-1]), value, int(session.max()) + 1)
    return anew if not len(of_session) else np.where(session >= 0, of_session[session], anew)


def _value(value: Value, drawn: int) -> Drawn:
    return value.values[drawn] if isinstance(value, Choice) else drawn


def _fill(text: str, values: Mapping[str, Drawn]) -> str:
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), text)


def _fill_json(value: Json, values: Mapping[str, Drawn]) -> Json:
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        return values[whole[1]] if whole else _fill(value, values)
    if isinstance(value, list):
        return [_fill_json(one, values) for one in value]
    if isinstance(value, dict):
        return {key: _fill_json(one, values) for key, one in value.items()}
    return value


def _body(route: Route, values: Mapping[str, Drawn]) -> tuple[bytes | None, str | None]:
    if route.form is not None:
        pairs = (f"{quote_plus(key)}={quote_plus(_fill(text, values))}" for key, text in route.form.items())
        return "&".join(pairs).encode(), "application/x-www-form-urlencoded"
    if route.json is not None:
        return json.dumps(_fill_json(route.json, values), ensure_ascii=False).encode(), "application/json"
    return None, None

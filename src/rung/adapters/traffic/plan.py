"""
What load consists of: routes with weights, and how the values in their paths and bodies are drawn.

In        a URL, the values that load_file.py read, or the arrivals that replay.py took from a recording
Out       a Plan: with its seed it determines every request to the last byte
Not here  reading the load file (load_file.py), drawing the requests (schedule.py), sending them (sender.py)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from rung.errors import BadValue, UnknownName

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# 5,000,000 requests are 14 h at 100/s; their columns and answers take about 0.4 GB.
REQUESTS_MAX = 5_000_000
# Zipf over a range needs its cumulated weights in memory, 8 bytes a value.
ZIPF_VALUES_MAX = 10_000_000

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Draw:
    """
    A number from *low* to *high*: uniform, or by Zipf's law with exponent *skew*, where *low* is the most frequent.
    """

    low: int
    high: int
    skew: float | None = None
    per_session: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """
    One of *values*, each as likely as the others; where *per_session*, the same one for all of a recorded session.
    """

    values: tuple[str | int, ...]
    per_session: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """
    One of the values that *sql* gives, asked once before anything is sent (values.py): then it is a Choice.

    Attributes:
        where: File and key, for those who read an error.
    """

    sql: str
    where: str
    per_session: bool = False


Value = Draw | Choice | Query


@dataclass(frozen=True, slots=True)
class Route:
    """
    One kind of request; `{name}` in path, body and headers stands for a value drawn anew each time.

    Attributes:
        stands_for: The recorded route that it replays, where *path* has not the shape of it.
    """

    path: str
    method: str = "GET"
    weight: float = 1.0
    form: Mapping[str, str] | None = None
    json: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    stands_for: str | None = None

    @property
    def name(self) -> str:
        """
        Return the route as people say it.

        >>> Route("/customers/{customer}/orders").name
        'GET /customers/{customer}/orders'
        """
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """
    Arrivals as they were recorded, ascending.

    Attributes:
        at_s: Seconds since the start of the run.
        route: Positions in the plan.
        session: A number for each session, from 0; -1 where a request had none.
    """

    at_s: NDArray[np.float64]
    route: NDArray[np.int64]
    session: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Load to be sent: *rate_per_s* over all routes, arriving at random as independent people do, or as *recorded*.
    """

    routes: tuple[Route, ...]
    rate_per_s: float
    duration_s: float
    seed: int = 1
    recorded: Recorded | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """
    What a load file says of requests whose arrivals come from elsewhere.

    Attributes:
        values: By name, for each route that has no value of its own under it.
        headers: For every route; its own come first.
    """

    routes: tuple[Route, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def checked(plan: Plan) -> Plan:
    """
    Return *plan*, or say what of its rate, duration and seed is impossible.

    Raises:
        BadValue: a value that is not positive, or more requests than one run may have.
    """
    for name, value in (("rate", plan.rate_per_s), ("duration", plan.duration_s)):
        if not (math.isfinite(value) and value > 0):
            raise BadValue(name, value, expected="a number above 0")
    if plan.seed < 0:
        raise BadValue("seed", plan.seed, expected="a whole number of at least 0")
    requests = plan.rate_per_s * plan.duration_s
    if requests > REQUESTS_MAX:
        raise BadValue(
            "duration",
            plan.duration_s,
            expected=f"at most {REQUESTS_MAX / plan.rate_per_s:.0f} s at {plan.rate_per_s:g} requests/s",
            where=f"that would be {requests:.0f} requests; one run may have {REQUESTS_MAX}",
        )
    return plan


def plan_of_url(url: str, *, rate: float, duration_s: float, seed: int = 1) -> Plan:
    """
    Return a plan of GET requests for exactly *url*.

    >>> plan_of_url("http://127.0.0.1:8000/orders?page=2", rate=20, duration_s=60).routes[0].name
    'GET /orders?page=2'
    """
    return checked(Plan((Route(path_of(url)),), rate, duration_s, seed))


def path_of(url: str) -> str:
    """
    Return path and query of *url*; braces are escaped, for in a URL they are no placeholders.
    """
    parts = _split(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return path.replace("{", "%7B").replace("}", "%7D")


def origin_of(url: str) -> str:
    """
    Return scheme, host and port of *url*.

    >>> origin_of("http://127.0.0.1:8000/orders?page=2")
    'http://127.0.0.1:8000'

    Raises:
        BadValue: not an http or https URL with a host.
    """
    parts = _split(url)
    return f"{parts.scheme}://{parts.netloc}"


def address_of(url: str) -> tuple[str, int]:
    """
    Return host and port of *url*.

    >>> address_of("https://shop.example/")
    ('shop.example', 443)
    """
    parts = _split(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise BadValue("URL", url, expected="an address such as http://127.0.0.1:8000/")
    return parts


def method_of(text: str, *, where: str) -> str:
    """
    Return *text* as one of the methods of HTTP.
    """
    method = text.upper()
    if method not in METHODS:
        raise UnknownName("method", method, known=METHODS, where=where, see="rung load --help")
    return method

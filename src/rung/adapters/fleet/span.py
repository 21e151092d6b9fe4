"""
Decide which recordings are read together, and what of each counts.

Recordings are read whole or not at all: each stands for itself.  What several of them saw of the same thing (a host's
processors, a database server) counts once: of those that looked at it at the same time one is taken.

In        what a store holds, the manifests; what was asked for
Out       the recordings within a span; by table, the objects to read and those of which only a part counts
Not here  reaching the store (store.py), fetching rows (reading.py)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rung import clock
from rung.adapters.fleet.layout import Kept
from rung.adapters.fleet.store import Stored
from rung.adapters.shelf import NAMED

# One that begins earlier than this before the span is not looked for: recordings are cut (record.rotate).
BEFORE_S = 86_400.0
SHARE_WITHIN = 0.5
# The end of a URL that is a recording's name, or its beginning.
NAME = re.compile(r"\d{4}-\d\d-\d\dT[A-Za-z0-9._-]*")

# What is seen of a server by whoever looks at it: all of its connections, or what it counts in one database.
OF_A_SERVER = frozenset({"activity"})
OF_A_DATABASE = frozenset({"statement_totals", "table_totals", "index_totals"})
OF_A_HOST = frozenset({"hosts"})
# Of a host's programs each collector sees all, and its own app alone.
OF_A_HOST_BUT_THE_APP = frozenset({"programs"})


@dataclass(frozen=True, slots=True)
class Span:
    """
    What was asked for: a prefix, and a time, a name's beginning, or neither (the newest).

    Attributes:
        since_s, until_s: Seconds since the epoch.
    """

    prefix: str
    name: str | None = None
    since_s: float | None = None
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """
    One recording of one host, as its store holds it.
    """

    kept: Kept
    manifest: Mapping[str, Any]

    @property
    def began_s(self) -> float:
        """
        Return when it began.
        """
        return float(self.manifest["started_s"])

    @property
    def until_s(self) -> float:
        """
        Return until when it goes, as far as it is there.
        """
        return max(float(self.manifest.get("until_s") or self.manifest.get("ended_s") or 0.0), self.began_s)

    @property
    def host(self) -> str:
        """
        Return which host it is of.
        """
        return str(self.manifest.get("host") or self.kept.place.rpartition("/")[2])

    @property
    def database(self) -> Mapping[str, Any]:
        """
        Return what it says of the database that was looked at.
        """
        return ((self.manifest.get("sampled") or {}).get("database")) or {}


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    What is read of one table.

    Attributes:
        all: Objects of which every row counts.
        app: Objects of which only rows with the role "app" count.
    """

    all: tuple[Stored, ...]
    app: tuple[Stored, ...] = ()


def parsed(url: str, *, since_s: float | None = None, until_s: float | None = None) -> Span:
    """
    Return what *url* means: a prefix, or a prefix and the beginning of a name.

    >>> parsed("s3://recordings/shop/2026-11-28T13")
    Span(prefix='s3://recordings/shop', name='2026-11-28T13', since_s=None, until_s=None)
    """
    prefix, _, last = url.rstrip("/").rpartition("/")
    if NAME.fullmatch(last):
        return Span(prefix, last, since_s, until_s)
    return Span(url.rstrip("/"), None, since_s, until_s)


def names_within(span: Span, names: Iterable[str]) -> list[str]:
    """
    Return which of the *names* of recordings, which begin with the second they began in, may lie within *span*.
    """
    known = sorted(name for name in names if NAMED.fullmatch(name))
    if span.name is not None:
        return [name for name in known if name.startswith(span.name)]
    if span.since_s is None and span.until_s is None:
        began = known[-1:] and _stamped_s(known[-1])
        return [name for name in known if _stamped_s(name) >= began - BEFORE_S] if began else []
    least_s = (span.since_s or 0.0) - BEFORE_S
    most_s = span.until_s if span.until_s is not None else float("inf")
    return [name for name in known if least_s <= _stamped_s(name) <= most_s]


def _stamped_s(name: str) -> float:
    return datetime.strptime(name[: len(clock.stamp(0))] + "+0000", "%Y-%m-%dT%H-%M-%SZ%z").timestamp()


def within(span: Span, found: Sequence[Held]) -> list[Held]:
    """
    Return the recordings of which at least half lies within *span*, or that fill at least half of it; for neither time
    nor name, those of the same time as the newest that has ended.
    """
    if span.name is not None or not found:
        return list(found)
    since_s, until_s = span.since_s, span.until_s
    if since_s is None and until_s is None:
        ended = [held for held in found if held.kept.ended] or list(found)
        newest = max(ended, key=lambda held: (held.until_s, held.kept.place))
        since_s, until_s = newest.began_s, newest.until_s
    since_s = since_s if since_s is not None else min(held.began_s for held in found)
    until_s = until_s if until_s is not None else max(held.until_s for held in found)
    return [held for held in found if _lies_within(held, since_s, until_s)]


def _lies_within(held: Held, since_s: float, until_s: float) -> bool:
    shared_s = min(held.until_s, until_s) - max(held.began_s, since_s)
    least_s = SHARE_WITHIN * min(held.until_s - held.began_s, until_s - since_s)
    return shared_s >= least_s and shared_s >= 0


def chosen(found: Sequence[Held]) -> dict[str, Chosen]:
    """
    Return what is read of each table.
    """
    everywhere = _places(found)
    servers = _places(_looked_at(found, _server, _address))
    databases = _places(_looked_at(found, _database, _label))
    hosts = _places(_covering(found, lambda held: held.host))
    tables: dict[str, Chosen] = {}
    for table in sorted({table for held in found for table in held.kept.objects}):
        if table in OF_A_SERVER:
            tables[table] = Chosen(_objects(found, table, servers))
        elif table in OF_A_DATABASE:
            tables[table] = Chosen(_objects(found, table, databases))
        elif table in OF_A_HOST_BUT_THE_APP:
            tables[table] = Chosen(_objects(found, table, hosts), _objects(found, table, everywhere - hosts))
        elif table in OF_A_HOST:
            tables[table] = Chosen(_objects(found, table, hosts))
        else:
            tables[table] = Chosen(_objects(found, table, everywhere))
    return tables


def namesakes(found: Sequence[Held]) -> tuple[str, ...]:
    """
    Return HOST's LABEL of databases of which nothing counts, for another server of that label was looked at meanwhile.
    """
    of_servers = _covering([held for held in found if _label(held)], _database)
    counted = {(_label(held), _database(held)) for held in _covering(of_servers, _label)}
    left = {f"{held.host}'s {_label(held)}" for held in of_servers if (_label(held), _database(held)) not in counted}
    return tuple(sorted(left))


def _label(held: Held) -> str:
    return str(held.database.get("database") or "")


def _address(held: Held) -> str:
    return _label(held).rpartition("/")[0]


def _server(held: Held) -> str:
    # An older rung told servers apart by their address alone.
    return str(held.database.get("server") or _address(held))


def _database(held: Held) -> tuple[str, str]:
    return _server(held), _label(held).rpartition("/")[2]


def _looked_at(
    found: Sequence[Held], seen: Callable[[Held], Hashable], called: Callable[[Held], Hashable]
) -> list[Held]:
    """
    Return recordings that cover what was *seen* once, and of those *called* alike at the same time only one.
    """
    return _covering(_covering(found, seen), called)


def _places(found: Iterable[Held]) -> set[str]:
    return {held.kept.place for held in found}


def _objects(found: Iterable[Held], table: str, places: set[str]) -> tuple[Stored, ...]:
    return tuple(one for held in found if held.kept.place in places for one in held.kept.objects.get(table, ()))


def _covering(found: Iterable[Held], seen: Callable[[Held], Hashable]) -> list[Held]:
    """
    Return recordings that together cover the time in which each thing was *seen*, hardly any of it twice.
    """
    taken: dict[Hashable, list[Held]] = {}
    for held in sorted(found, key=lambda held: (held.began_s - held.until_s, held.began_s, held.kept.place)):
        mine = taken.setdefault(seen(held), [])
        shared_s = sum(max(0.0, min(held.until_s, other.until_s) - max(held.began_s, other.began_s)) for other in mine)
        if not mine or shared_s < SHARE_WITHIN * (held.until_s - held.began_s):
            mine.append(held)
    return [held for several in taken.values() for held in several]


def clocks(found: Iterable[Held]) -> dict[str, tuple[float, float]]:
    """
    Return by host how far the database's clock is ahead of its, and how wrong that can be, where it was looked at.
    """
    told: dict[str, tuple[float, float]] = {}
    for held in found:
        offset_s, uncertainty_s = (held.database.get(f"clock_{what}_s") for what in ("offset", "uncertainty"))
        if offset_s is not None and uncertainty_s is not None:
            best = told.get(held.host)
            if best is None or uncertainty_s < best[1]:
                told[held.host] = (float(offset_s), float(uncertainty_s))
    return told

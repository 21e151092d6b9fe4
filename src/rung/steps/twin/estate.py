"""
Read the machines out of a recording: hosts with cores, which process and which database server is on which.

In        a Profile
Out       an Estate, with what could not be known
Not here  sizes of pools and thread pools (holding.py), what requests do (recover.py)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rung.steps.measure import Integers, Profile
from rung.steps.measure.beside import Usage
from rung.steps.twin.topology import Host
from rung.units import show_count

CORES_UNKNOWN = math.inf  # nobody waits for one
HERE = frozenset({"", "localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - an address that is read
ASYNC = frozenset({"fastapi", "starlette", "litestar", "uvicorn", "uvloop", "aiohttp"})
SYNC = frozenset({"django", "gunicorn", "psycopg", "psycopg2", "psycopg_pool", "requests", "celery"})


@dataclass(frozen=True, slots=True, eq=False)
class Estate:
    """
    What a recording ran on.

    Attributes:
        host: Index into hosts of each process of the Profile.
        databases: Index into hosts of each database server.
        server: Index into databases of each database, by its label.
        threaded: Whether each request has a thread to itself (WSGI) rather than an event loop with others.
    """

    hosts: tuple[Host, ...]
    host: Integers
    databases: tuple[int, ...]
    server: dict[str, int]
    threaded: bool
    notes: tuple[str, ...]


def estate_of(profile: Profile) -> Estate:
    """
    Return what *profile* was recorded on.
    """
    notes: list[str] = []
    usages = {usage.host: usage for usage in profile.beside.usages}
    names = [name.partition("/")[0] for name in profile.process_names] or [""] * profile.processes
    hosts = sorted(set(names))
    apps_host = names[int(np.bincount(profile.requests.process).argmax())]
    server: dict[str, int] = {}
    addresses: dict[str, int] = {}
    databases: list[int] = []
    for label in sorted({text.database for text in profile.texts.values()}):
        address = label.rpartition("/")[0]
        if address not in addresses:
            addresses[address] = len(databases)
            where = address.rpartition(":")[0].strip("[]")
            # A socket's folder, or this machine's own address: the database is where the app is.
            here = where in HERE or where.startswith("/") or where in hosts
            name = (where if where in hosts else apps_host) if here else where
            if name not in hosts:
                hosts.append(name)
            databases.append(hosts.index(name))
        server[label] = addresses[address]
    if not databases:
        databases.append(hosts.index(apps_host))
    unknown = [name or "the host" for name in hosts if usages.get(name) is None]
    if unknown:
        notes.append(
            f"How many cores {' and '.join(unknown)} {'have' if len(unknown) > 1 else 'has'} is not known: nothing is "
            "taken to wait for a core there."
        )
    return Estate(
        hosts=tuple(_host(name, usages.get(name), notes) for name in hosts),
        host=np.array([hosts.index(name) for name in names], dtype=np.int64),
        databases=tuple(databases),
        server=server,
        threaded=_threaded(profile),
        notes=tuple(notes),
    )


def _host(name: str, usage: Usage | None, notes: list[str]) -> Host:
    if usage is None:
        return Host(name, CORES_UNKNOWN)
    beyond = usage.tools
    if usage.cores >= usage.cores_all:  # else what was busy includes what runs outside of this container
        beyond = max(usage.busy - usage.app - usage.database, usage.tools)
    if beyond > 0.2 * usage.cores:
        notes.append(
            f"On {name} {beyond:.1f} of {show_count(round(usage.cores))} cores were busy with what is neither the app "
            "nor the database; the simulation takes that as it was."
        )
    return Host(name, usage.cores, min(beyond, 0.9 * usage.cores))


def _threaded(profile: Profile) -> bool:
    libraries = {name for name, _ in profile.facts.libraries}
    return bool(libraries & SYNC) and not libraries & ASYNC

"""
With another recorder in the same process, whoever comes first: the app says the same, and each sees what it sees alone.

`make company` installs the others and runs this; `make test` passes it over, since it downloads and takes minutes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.company import peers
from tests.company.agent import Agent, listening
from tests.company.companies import APPS, PEERS, App, Ran, company, environment, running, transactions
from tests.ports import free_port
from tests.probe.running import Recorded
from tests.probe.serving import ask

pytestmark = pytest.mark.skipif(not os.environ.get("COMPANY"), reason="make company runs these")

# Not those that chance decides (was a connection there already, how long did a wait for it take), nor threads: a
# middleware of another recorder's may send a request to one more.
SEAMS = ("query", "commit", "external")


@dataclass
class Seen:
    said: dict[str, Any]
    warnings: set[str]
    transactions: list[tuple[str, list[str]]]
    recorded: Recorded | None


@pytest.fixture(scope="module")
def url(cluster) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS django_order")
        connection.execute(
            "CREATE TABLE django_order (id bigserial PRIMARY KEY, customer int NOT NULL, note text NOT NULL DEFAULT '')"
        )
        connection.execute("INSERT INTO django_order (customer) SELECT n % 2 FROM generate_series(1, 6) n")
    return cluster.dsn()


def _seen(app: App, peer: str | None, order: str, url: str, folder: Path, *, recorded: bool) -> Seen:
    port = free_port()
    with listening() as agent:
        given = environment(peer, peers.install(), agent, folder) | {"DATABASE_URL": url}
        command = company(peer, order, app.command(port), peers.install(), given)
        with running(command, port, given, folder, recorded=recorded) as ran:
            said = {path: ask(port, path) for path in app.paths}
        return _read(said, peer, ran, agent)


def _read(said: dict[str, Any], peer: str | None, ran: Ran, agent: Agent) -> Seen:
    recorded = Recorded.read(ran.recording) if ran.recording is not None else None
    return Seen(said, ran.warnings(), transactions(peer, ran, agent) if peer else [], recorded)


@dataclass
class Alone:
    bare: Seen
    rung: Seen
    peers: dict[str, Seen]


@pytest.fixture(scope="module", params=APPS, ids=lambda app: app.name)
def alone(request, url, tmp_path_factory) -> tuple[App, Alone]:
    app = request.param

    def seen(peer: str | None, *, recorded: bool) -> Seen:
        return _seen(app, peer, "program", url, tmp_path_factory.mktemp("alone"), recorded=recorded)

    by_peer = {peer: seen(peer, recorded=False) for peer in PEERS}
    return app, Alone(seen(None, recorded=False), seen(None, recorded=True), by_peer)


def _requests(seen: Recorded) -> Counter[Any]:
    return Counter((one["route"], one["status"], one["error"]) for one in seen.requests if one["kind"] == "request")


def _parts(seen: Recorded) -> Counter[Any]:
    # What goes on after the response is kept where it lasts, and another recorder may have something to do then.
    own = [one for one in seen.requests if one["kind"] == "request"]
    routes = {(one["worker"], one["request"]): one["route"] for one in own}
    found: Counter[Any] = Counter()
    for part in seen.segments:
        if part["seam"] in SEAMS and (part["worker"], part["request"]) in routes:
            text = seen.statements[part["name"]]["text"] if part["seam"] == "query" else part["name"]
            route = routes[part["worker"], part["request"]]
            found[route, part["seam"], text, part["code"], part["rows"]] += part["calls"]
    return found


@pytest.mark.parametrize("order", ["program", "first"])
@pytest.mark.parametrize("peer", PEERS)
def test_each_sees_what_it_sees_alone(alone, peer: str, order: str, url: str, tmp_path: Path) -> None:
    app, without = alone
    seen = _seen(app, peer, order, url, tmp_path, recorded=True)

    assert without.peers[peer].said == seen.said
    assert {path: (a[0], a[2]) for path, a in without.bare.said.items()} == {
        path: (a[0], a[2]) for path, a in seen.said.items()
    }
    assert seen.warnings <= without.peers[peer].warnings | without.rung.warnings
    assert [] == seen.recorded.failures()
    assert _requests(without.rung.recorded) == _requests(seen.recorded)
    assert _parts(without.rung.recorded) == _parts(seen.recorded)
    asked = [one for one in seen.recorded.requests if one["kind"] == "request"]
    computed = [one["cpu_s"] for one in asked if one["route"].startswith("/compute")]
    assert computed
    assert min(computed) >= 0.045

    assert Counter(_plain(without.peers[peer])) == Counter(_plain(seen))
    assert len(app.paths) - 1 <= len(seen.transactions)


def _plain(seen: Seen) -> list[tuple[str, tuple[str, ...]]]:
    return [(re.sub(r":\d+/", "/", name), tuple(sorted(asked))) for name, asked in seen.transactions]

"""
What was recorded of a real app arrives there again: moments, routes and sessions, with values of the load file's.
"""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
import pytest

from rung.adapters.traffic.replay import Arrivals, read_arrivals
from tests.end_to_end.running import HERE, PATIENCE_S, Shop

FILE = """\
[values.product_id]
query = "SELECT id FROM products ORDER BY random() LIMIT 20"

[[routes]]
method = "POST"
path = "/sales"
json = { product = "{product}" }
values.product = { from = 1, to = 9 }
"""
PEOPLE = 3
VISITS = 4
PAUSE_S = 0.4
# X-Request-Start has whole microseconds.
GRID_S = 5e-6


def visit(url: str) -> None:
    """
    Send what a few people do: each its own cookie, and in between a health check, a typing error and a sale.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)

    def ask(method: str, path: str, *, body: Any = None, cookie: str | None = None) -> None:
        headers = {"Content-Type": "application/json"} | ({"Cookie": f"session={cookie}"} if cookie else {})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        connection.getresponse().read()

    try:
        for turn in range(VISITS):
            ask("GET", "/health")
            for person in range(PEOPLE):
                ask("GET", f"/products/{7 * turn + person + 1}", cookie=f"person-number-{person}")
            ask("GET", "/")
            ask("GET", "/nowhere")
            ask("POST", "/sales", body={"product": 1})
            time.sleep(PAUSE_S)
    finally:
        connection.close()


def sealed(shop: Shop, name: str) -> Path:
    (recording,) = (shop.folder / ".rung" / "recordings").glob(f"*Z-{name}")
    give_up_at = time.monotonic() + PATIENCE_S
    while not json.loads((recording / "recording.json").read_text())["sealed"]:
        assert time.monotonic() < give_up_at, "the recording was not sealed"
        time.sleep(0.05)
    return recording


def names(arrivals: Arrivals) -> list[str]:
    return [" ".join(arrivals.routes[number]) for number in arrivals.route]


@pytest.mark.timeout(180)
def test_a_recording_arrives_again_at_its_moments_and_with_its_sessions(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE products AS SELECT generate_series(1, 50) AS id")
    shop = Shop(tmp_path, database)
    shutil.copy(HERE / "till.py", tmp_path / "corner.py")
    (tmp_path / "load.toml").write_text(FILE)
    with shop.running("record", "--name", "first", "--") as url:
        visit(url)
    first = read_arrivals(sealed(shop, "first"))
    with shop.running("record", "--name", "second", "--") as url:
        told = shop.json("load", url, "--replay", "first", "--routes", "load.toml")
    with shop.running("record", "--name", "third", "--") as url:
        slower = ("--speed", "0.5", "--disposable")
        written = shop.rung("load", url, "--replay", "first", "--routes", "load.toml", *slower)
    second, third = (read_arrivals(sealed(shop, name)) for name in ("second", "third"))

    # The app's own page of its routes is asked for until it answers; like a person's before the load began.
    apart = [name in {"GET /openapi.json", "GET (unmatched)"} for name in names(first)]
    reading = ~np.array(apart) & np.array([name != "POST /sales" for name in names(first)])
    arrived = [n for n, known in zip(names(second), second.due_s >= 0, strict=True) if known and "openapi" not in n]
    assert PEOPLE * VISITS + VISITS == len(arrived)
    assert Counter(arrived) == Counter(np.array(names(first))[reading].tolist())
    # Products that there are: the database was asked for them.
    assert (0, 0) == (told["overall"]["client_errors"], told["overall"]["errors"])
    left = {each["why"]: each["requests"] for each in told["replayed"]["left_out"]}
    assert VISITS == left["health checks"] == left["that no route of the app matched"]
    assert VISITS == left[f"writes ({VISITS} POST): the database is not declared disposable"]
    assert PEOPLE == told["replayed"]["sessions"]

    # The same moments; in the slower one twice as far apart.
    for again, factor, chosen in ((second, 1, reading), (third, 2, ~np.array(apart))):
        mine = np.array(["openapi" not in name for name in names(again)])
        gaps = np.diff(again.due_s[mine])
        assert np.allclose(gaps, factor * np.diff(first.due_s[chosen]), atol=GRID_S)
        assert [n for n, known in zip(names(again), mine, strict=True) if known] == [
            n for n, known in zip(names(first), chosen, strict=True) if known
        ]
    assert "POST /sales" in written
    assert "disposable" not in written
    assert_people_kept_apart(first, third)


def assert_people_kept_apart(first: Arrivals, second: Arrivals) -> None:
    """
    A session is given a cookie by the answer to its first request; the last one carries it, and never another's.
    """
    of_person: dict[int, list[int]] = defaultdict(list)
    recorded = [s for s, name in zip(first.session, names(first), strict=True) if name == "GET /products/{product_id}"]
    again = [s for s, name in zip(second.session, names(second), strict=True) if name == "GET /products/{product_id}"]
    for person, session in zip(recorded, again, strict=True):
        of_person[int(person)].append(int(session))

    assert PEOPLE == len(of_person)
    assert all(-1 == sessions[0] for sessions in of_person.values())
    assert all(sessions[-1] >= 0 for sessions in of_person.values())
    kept = [set(sessions) - {-1} for sessions in of_person.values()]
    assert sum(map(len, kept)) == len(set.union(*kept))


@pytest.mark.timeout(60)
def test_what_cannot_be_replayed_says_what_to_write(tmp_path: Path) -> None:
    shop = Shop(tmp_path, None)
    shutil.copy(HERE / "till.py", tmp_path / "corner.py")
    with shop.running("record", "--name", "first", "--") as url:
        visit(url)
    sealed(shop, "first")

    told = json.loads(shop.rung("load", "http://127.0.0.1:1/", "--replay", "first", "--json", status=2))["error"]
    assert "replay-refused" == told["code"]
    assert told["message"] == "cannot replay GET /products/{product_id}: it needs values for {product_id}"
    assert "values.product_id = { query =" in told["why"]

    (tmp_path / "load.toml").write_text(FILE)
    told = json.loads(
        shop.rung("load", "http://127.0.0.1:1/", "--replay", "first", "--routes", "load.toml", "--json", status=2)
    )["error"]
    assert "database-not-given" == told["code"]
    for flag in (["--speed", "2"], ["--disposable"]):
        assert (
            "usage" == json.loads(shop.rung("load", "http://127.0.0.1:1/", *flag, "--json", status=2))["error"]["code"]
        )

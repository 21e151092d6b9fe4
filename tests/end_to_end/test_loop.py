"""
One turn of the loop, and what it says when nothing changed or too little was seen.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.end_to_end.running import LOAD, Shop

SECONDS = "19s"
ORDERS = """
CREATE TABLE orders (
    id integer PRIMARY KEY, customer_id integer NOT NULL, placed_at timestamptz NOT NULL, total integer, note text
);
INSERT INTO orders
SELECT number, 1 + (number::bigint * 7919) % 5000, now() - number * interval '1 minute', number % 997, repeat('x', 120)
FROM generate_series(1, 400000) AS number;
"""


@pytest.mark.timeout(240)
def test_a_turn_of_the_loop_finds_prices_takes_and_confirms_an_index(tmp_path: Path, database: str) -> None:
    """
    From an app that nobody touched to a ledger entry that says what the promised index brought.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(ORDERS)
        connection.execute("VACUUM ANALYZE orders")
    shop = Shop(tmp_path, database)
    (tmp_path / "rung.toml").write_text('[goal]\nlatency = "15ms"\n')
    (tmp_path / "load.toml").write_text(LOAD.format(rate=9))
    load = ("", "--routes", "load.toml", "--duration", SECONDS)

    shop.record("before", *load)
    finding = shop.json("find")
    # The server is out of reach now: what it answered was kept.
    again = shop.json("find", "--database", "postgresql://nobody@127.0.0.1:1/nothing")
    first = shop.json("take", "index", "--apply")
    second = shop.json("take", "index", "--apply")
    shop.record("after", *load)
    verdict = shop.json("confirm")
    entries = shop.json("ledger")["entries"]

    assert finding == again
    bottleneck = finding["bottleneck"]
    assert ("query", "corner.py:39") == (bottleneck["seam"], bottleneck["code"])
    assert "GET /customers/{customer_id}/orders" == finding["goal"]["route"]
    # With the date it is one page less for each row; whether that is worth its room, statistics decide.
    assert finding["move"]["name"] == first["move"]
    assert first["move"] in {"index:orders(customer_id)", "index:orders(customer_id,placed_at)"}
    assert (False, True) == (first["applied"]["already"], second["applied"]["already"])
    assert "moved" == verdict["verdict"], verdict["words"]
    assert verdict["paired"]
    assert verdict["change"]["high"] < 1
    assert verdict["after"]["p95_s"] < verdict["before"]["p95_s"] / 3
    # The ledger keeps six digits, as a person reviews them.
    promised = finding["move"]["predicted"]
    assert promised == (pytest.approx(verdict["predicted"], rel=1e-5) if promised is not None else verdict["predicted"])
    # On a machine that is too busy to reproduce itself there is an index, and no number for it.
    assert (promised is not None) == finding["simulated"]["trusted"]
    assert ["moved"] == [entry["state"] for entry in entries]

    migration, undo = sorted((tmp_path / "rung" / "migrations").iterdir())
    assert first["statement"] in migration.read_text() + undo.read_text()
    shop.rung("take", "index", "--undo")
    with psycopg.connect(database) as connection:
        left = connection.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'orders'::regclass")
        assert [("orders_pkey",)] == left.fetchall()


@pytest.mark.timeout(240)
def test_an_app_that_nobody_changed_has_not_moved_and_a_short_run_says_so(tmp_path: Path) -> None:
    """
    The same arrivals twice on the same app are no change; a few seconds of them are no evidence.
    """
    shop = Shop(tmp_path, None)
    load = ("/steady", "--rate", "10")

    shop.record("first", *load, "--duration", SECONDS)
    shop.record("second", *load, "--duration", SECONDS)
    shop.record("short", *load, "--duration", "4s")
    same = shop.json("confirm", "first", "second")
    short = shop.json("confirm", "first", "short")

    assert "not_moved" == same["verdict"], same
    assert same["paired"]
    assert "too_little_data" == short["verdict"]
    assert short["needed_s"] > 4
    assert "Too little data" in short["words"]

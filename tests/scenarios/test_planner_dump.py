"""
`rung permissions`, and finding with no access to the database: from a dump that its script made elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rung.adapters.cluster import Cluster
from tests import warm
from tests.scenarios.shapes import misfits
from tests.strategies import keep_recording, shop

SHOP = """
create table customers (id bigint primary key, name text);
insert into customers select n, 'customer ' || n from generate_series(1, 20000) n;
create table orders (id bigint primary key, customer_id bigint not null, created_at timestamptz not null, note text);
insert into orders select n, 1 + n % 20000, '2026-01-01'::timestamptz + n * interval '1 second', repeat('x', 40)
from generate_series(1, 60000) n;
vacuum analyze;
"""


def rung(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "PG", "DATABASE"))}
    return warm.rung(place, *words, environment=kept | more)


def test_what_the_role_may_do_is_said_in_words_and_in_json(tmp_path: Path, database: str) -> None:
    told = rung(tmp_path, "permissions", "--database", database)
    assert 0 == told.returncode, told.stderr
    assert "Role     postgres at 127.0.0.1" in told.stdout
    assert "lacking  pg_stat_statements is not there" in told.stdout
    assert "→ shared_preload_libraries" in told.stdout
    assert "rung permissions --script" in told.stdout
    document = json.loads(rung(tmp_path, "permissions", "--json", "--database", database).stdout)
    assert [] == misfits(document, "permissions")
    assert {"ok", "lacking"} == {check["state"] for check in document["checks"]}


def test_without_a_database_it_says_how_to_name_one(tmp_path: Path) -> None:
    told = rung(tmp_path, "permissions")
    assert 2 == told.returncode
    assert "rung permissions --database" in told.stderr


def test_the_script_is_the_same_in_json(tmp_path: Path) -> None:
    document = json.loads(rung(tmp_path, "permissions", "--script", "--json").stdout)
    assert [] == misfits(document, "permissions")
    assert rung(tmp_path, "permissions", "--script").stdout == document["script"]
    checked = subprocess.run(["/bin/sh", "-n"], input=document["script"], text=True, check=False, capture_output=True)
    assert (0, "") == (checked.returncode, checked.stderr)


@pytest.mark.timeout(400)
def test_an_index_is_found_and_priced_from_a_dump(tmp_path: Path, database: str, cluster: Cluster) -> None:
    """
    The flag names it for once, the setting for good.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in SHOP.split(";\n"):
            connection.execute(sql.SQL(statement))
    (tmp_path / "planner-dump.sh").write_text(rung(tmp_path, "permissions", "--script").stdout)
    path = f"{cluster.binaries}:{os.environ['PATH']}"
    subprocess.run(
        ["/bin/sh", "planner-dump.sh", database, "given"], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True,
        capture_output=True,
    )  # fmt: skip
    keep_recording(tmp_path / ".rung" / "recordings" / "2026-11-01T00-00-00Z-shop", shop(count=600, connections=4))

    found = rung(tmp_path, "find", "--latency", "50ms", "--planner-dump", "given")
    assert 0 == found.returncode, found.stderr
    assert "index orders (customer_id" in found.stdout
    (tmp_path / "rung.toml").write_text('[planner]\ndump = "given"\n')
    priced = rung(tmp_path, "price", "--latency", "50ms", "--fresh")
    assert "index:orders(customer_id" in priced.stdout, priced.stdout


def test_a_folder_that_is_no_dump_is_said_in_the_finding(tmp_path: Path) -> None:
    keep_recording(tmp_path / ".rung" / "recordings" / "2026-11-01T00-00-00Z-shop", shop(count=200, connections=4))
    found = rung(tmp_path, "find", "--latency", "50ms", "--planner-dump", "nowhere")
    assert 0 == found.returncode, found.stderr
    assert "nowhere/facts.json: No such file or directory" in " ".join(found.stdout.split())

"""
`rung explain` as it is typed: what is printed of kept plans, word by word, and what is told of bad input.

After a change of words that is meant: RUNG_REWRITE=1 python -m pytest tests/scenarios/test_explain.py, and read the
difference.

In        plans of a real PostgreSQL (tests/steps/explain/plans); a database where a statement is asked for
Out       a failure shows the difference to explained/NAME.txt
Not here  reading plans (tests/steps/explain), asking for them (tests/adapters/test_explaining.py)
"""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rung.surfaces.cli import main
from tests.scenarios.make import recording_name
from tests.scenarios.planned import ORDERS
from tests.scenarios.shapes import misfits

HERE = Path(__file__).parent
PLANS = HERE.parent / "steps" / "explain" / "plans"
NAMES = sorted(path.stem for path in PLANS.glob("*.json"))
REWRITE = bool(os.environ.get("RUNG_REWRITE"))
WIDTH_MAX = 110


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    An empty repository to work in, with no setting from outside.
    """
    for name in list(os.environ):
        if name.startswith(("RUNG_", "PG")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shop(database: str) -> str:
    """
    A database with orders that are looked up without an index.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create table orders (id int primary key, customer_id int, total int, created_at timestamptz)"
        )
        connection.execute(
            "insert into orders select n, n % 5000, n % 7, timestamptz '2026-01-01' + n * interval '1 minute'"
            " from generate_series(1, 100000) n"
        )
        connection.execute("vacuum analyze orders")
    return database


@pytest.fixture
def indexed(shop: str) -> str:
    """
    The same with the index: nothing is left to be tried in a planner twin, which takes a moment.
    """
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("create index on orders (customer_id, created_at desc)")
    return shop


@pytest.mark.parametrize("name", NAMES)
def test_what_is_printed_of_a_plan(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PLANS / f"{name}.json", place)
    assert main(["explain", f"{name}.json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    expected = HERE / "explained" / f"{name}.txt"
    if REWRITE:
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(printed.out, "utf-8")
    assert printed.out == expected.read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_a_page_and_ends_with_what_to_do_next(name: str) -> None:
    lines = (HERE / "explained" / f"{name}.txt").read_text("utf-8").splitlines()
    # What is to be copied stands on one line, however long.
    assert [line for line in lines if len(line) > WIDTH_MAX and not line.endswith(";")] == []
    assert any(line.startswith("Next") for line in lines[-2:])


@pytest.mark.parametrize("name", NAMES[::4])
def test_json_has_the_declared_shape(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PLANS / f"{name}.json", place)
    assert main(["explain", f"{name}.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert misfits(told, "explain") == []
    assert sum(node["share"] for node in told["nodes"]) <= 1.001


def test_a_statement_is_explained_with_what_would_change_it(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    statement = "select * from orders where customer_id = $1 order by created_at desc limit 20"
    assert main(["explain", statement, "--database", shop]) == 0
    text = capsys.readouterr().out
    assert "not run, values unknown" in text
    assert "Seq Scan on orders" in text
    assert "An index on orders (customer_id" in text
    assert "would bring the plan's cost from" in text
    assert "CREATE INDEX CONCURRENTLY" in text
    assert "rung explain STATEMENT --analyze --param VALUE1" in text


def test_running_it_shows_where_the_time_went(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", "select * from orders where customer_id = $1", "--analyze", "--param", "77", "--database", shop]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert misfits(told, "explain") == []
    (scan,) = (node for node in told["nodes"] if node["relation"] == "orders")
    assert told["executed"]
    assert (scan["rows"], scan["rows"] + scan["removed"]) == (20, 100_000)
    assert "77" not in json.dumps([scan["conditions"], told["statement"]])
    assert "index" in {remedy["kind"] for remedy in told["remedies"]}
    assert main(asked) == 0
    assert "100,000 rows looked at to keep 20" in capsys.readouterr().out


def test_no_value_is_kept(indexed: str, place: Path) -> None:
    secret = "4815162"
    statement = f"select * from orders where total = {secret} and customer_id = $1"
    assert main(["explain", statement, "--analyze", "--param", secret, "--database", indexed]) == 0
    assert not [path for path in place.rglob("*") if path.is_file()]


def test_a_file_and_standard_input_are_statements_too(
    shop: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "slow.sql").write_text("-- slow\nselect count(*)\nfrom orders;\n")
    assert main(["explain", "slow.sql", "--database", shop]) == 0
    by_file = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"select count(*) from orders")))
    assert main(["explain", "-", "--database", shop]) == 0
    assert by_file.replace("slow.sql", "-").split("Plan")[1] == capsys.readouterr().out.split("Plan")[1]


@pytest.fixture
def recorded(place: Path) -> Path:
    shutil.copytree(HERE / "unindexed_lookup", place / ".rung", ignore=shutil.ignore_patterns("expect_*"))
    return place


def test_a_recorded_statement_is_known_by_its_name(
    recorded: Path, indexed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["bottleneck"]["name"]
    for typed in (name, name[:8], f"[{name[:8]}]"):
        assert main(["explain", typed, "--database", indexed, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["name"], told["statement"]) == (name, ORDERS)
    assert main(["explain", name[:8], "--recording", recording_name("unindexed_lookup"), "--database", indexed]) == 0


def refused(capsys: pytest.CaptureFixture[str], *typed: str) -> tuple[str, str]:
    """
    Return code and message of what is told instead of an answer, in JSON and as text alike.
    """
    assert main(["explain", *typed, "--json"]) == 2
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert misfits(told, "error") == [] or "error" in told
    assert main(["explain", *typed]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"rung: {told['error']['message']}")
    assert told["error"]["steps"]
    return told["error"]["code"], told["error"]["message"]


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["select 1"], "database-not-given", "no database was named"),
        (["nosuch.sql"], "bad-file", "no such file"),
        (["queries/slow"], "bad-file", "no such file"),
        (["deadbeef"], "usage", "no file and no SQL"),
        (["[{'Plan'"], "bad-file", "begins as JSON and is none"),
        (['[{"Plan": {}}]'], "bad-file", "missing or not as EXPLAIN writes it"),
        (["{}"], "bad-file", "no Plan in it"),
        (["select 1", "--timeout", "soon"], "bad-value", "--timeout"),
        (["select 1", "--timeout", "0s"], "bad-value", "--timeout"),
        (["select 1", "--database", "postgresql://nobody@127.0.0.1:1/shop"], "database-refused", "refused"),
        (["select 1", "--recording", "none"], "recording-missing", "none"),
        (["."], "bad-file", "it is a folder"),
    ],
)
def test_bad_input_is_told_what_to_do(
    typed: list[str], code: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, message = refused(capsys, *typed)
    assert (found, said in message) == (code, True)


def test_a_name_that_no_statement_has(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refused(capsys, "deadbeef")
    assert (code, "unknown statement 'deadbeef'" in message) == ("unknown-name", True)


def test_a_plan_cannot_be_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PLANS / "limit.json", place)
    code, message = refused(capsys, "limit.json", "--analyze")
    assert (code, "cannot be run" in message) == ("usage", True)


def test_bytes_that_are_no_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "odd.sql").write_bytes(b"select '\xff\xfe'")
    assert refused(capsys, "odd.sql")[0] == "bad-file"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select * form orders", "syntax error"),
        ("select 1; select 2", "several statements"),
        ("select * from gone", "does not exist"),
        ("drop table orders", "DROP has no plan"),
        ("", "there is none"),
    ],
)
def test_a_statement_without_a_plan(statement: str, said: str, shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refused(capsys, statement, "--database", shop)
    assert (code, said in message) == ("statement-refused", True)


def test_what_writes_is_not_run(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = refused(capsys, "delete from orders", "--analyze", "--database", shop)
    assert (code, "is not run" in message) == ("statement-refused", True)
    with psycopg.connect(shop) as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (100_000,)

"""
What is told when no answer can be given: a way out, on standard error, and nothing half-written.

Every case is a real process, as it is typed.  A refusal is a status, three parts on standard error that name the
thing, nothing on standard output (with --json one document), no traceback, and the folder as it was.

In        the table below
Out       a failure names the case
Not here  the errors' classes (tests/house/test_errors.py), what is printed of a good recording (test_scenarios.py)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rung.steps.twin.variant import Setting
from rung.surfaces.cli import main
from tests import warm
from tests.scenarios.make import recording_name
from tests.scenarios.shapes import misfits
from tests.short import every
from tests.strategies import quote_of

HERE = Path(__file__).parent
NAME = recording_name("unindexed_lookup")
RECORDING = f".rung/recordings/{NAME}"
NOBODY = "postgresql://nobody:secret@127.0.0.1:1/shop"


def environment(**more: str) -> dict[str, str]:
    """
    This process's environment without any setting of rung or a database.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNG", "PG"))}
    for name in ("DATABASE_URL", "COLUMNS", "LINES", "PYTHONIOENCODING"):
        kept.pop(name, None)
    return kept | more


def run(place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """
    Run rung in *place*.
    """
    return warm.rung(place, *words, environment=environment(**more))


def listing(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def nothing(place: Path) -> None:
    """
    An empty folder.
    """


def recorded(place: Path) -> None:
    shutil.copytree(HERE / "unindexed_lookup", place / ".rung", ignore=shutil.ignore_patterns("expect_*"))


def healthy(place: Path) -> None:
    shutil.copytree(HERE / "healthy", place / ".rung", ignore=shutil.ignore_patterns("expect_*"))


def settings(text: str | bytes) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        (place / "rung.toml").write_bytes(text.encode() if isinstance(text, str) else text)

    return write


def file(name: str, text: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, "utf-8")

    return write


def spoilt(name: str, text: str | None) -> Callable[[Path], None]:
    """
    The recording with one file replaced, cut (an empty text), or gone (None).
    """

    def spoil(place: Path) -> None:
        recorded(place)
        path = place / RECORDING / name
        if text is None:
            path.unlink()
        elif text:
            path.write_text(text, "utf-8")
        else:
            path.write_bytes(path.read_bytes()[:-100])

    return spoil


def emptied(place: Path) -> None:
    """
    A recording that nobody sent a request.
    """
    import duckdb

    from rung.adapters.recordings import EMPTY

    recorded(place)
    with duckdb.connect(":memory:") as database:
        for table in ("requests", "segments", "statements"):
            database.execute(EMPTY[table])
            database.table(table).write_parquet(str(place / RECORDING / f"{table}.parquet"))


def shortened(place: Path) -> None:
    """
    A recording of ten requests.
    """
    import duckdb

    recorded(place)
    path = place / RECORDING / "requests.parquet"
    with duckdb.connect(":memory:") as database:
        database.execute("create table few as select * from read_parquet(?) limit 10", [str(path)])
        database.table("few").write_parquet(str(path))


def taken(place: Path) -> None:
    """
    A recording, and a move of it in the ledger.
    """
    recorded(place)
    done = run(place, "take")
    assert done.returncode == 0, done.stderr


def two_ledgers(place: Path) -> None:
    recorded(place)
    (place / "rung" / "ledger").mkdir(parents=True)
    (place / "rung" / "ledger" / "0001-index-orders.toml").write_text("number = 1\n", "utf-8")


@dataclass(frozen=True)
class Case:
    """
    What lies in the folder, what is typed, and what must be said of it.
    """

    words: tuple[str, ...]
    says: tuple[str, ...]
    way_out: str
    made: Callable[[Path], None] = nothing
    status: int = 2
    environ: Mapping[str, str] = field(default_factory=dict)


SEE = "rung --help"
RECORD = "rung record -- uvicorn yourapp:app"
CASES: dict[str, Case] = {
    "unknown command": Case(("fnd",), ("'fnd'", "did you mean 'find'"), SEE),
    "unknown flag": Case(("find", "--databse", "x"), ("--databse", "did you mean '--database'"), "rung find --help"),
    "unknown flag of rung": Case(("--verison",), ("did you mean '--version'",), SEE),
    "two recordings": Case(("price", "a", "b"), ("one recording", "2 are named"), "rung pack a b"),
    "too many words": Case(("explain", "a", "b"), ("'b'",), "rung explain --help"),
    "a flag without its value": Case(("find", "--database"), ("--database",), "rung find --help"),
    "find without a recording": Case(("find",), (".rung/recordings",), RECORD),
    "price without a recording": Case(("price",), (".rung/recordings",), RECORD),
    "take without a recording": Case(("take",), (".rung/recordings",), RECORD),
    "confirm without a ledger": Case(("confirm",), ("the ledger is empty",), "rung take"),
    "confirm of two that are not there": Case(("confirm", "a", "b"), ("'a'",), RECORD),
    "confirm of one": Case(("confirm", "a"), ("two recordings",), "rung confirm BEFORE AFTER"),
    "confirm with itself": Case(("confirm", NAME, NAME), (NAME,), "rung confirm BEFORE AFTER", recorded),
    "a recording of that name": Case(("find", "yesterday"), ("'yesterday'",), RECORD, recorded),
    "a folder that is no recording": Case(("find", "."), ("recording.json",), RECORD),
    "empty recording": Case(("find",), ("no request",), "rung load", emptied),
    "short recording": Case(("find",), ("p95", "it takes 60"), "--percentile 50", shortened),
    "truncated recording": Case(("find",), (NAME, "cannot be read"), RECORD, spoilt("requests.parquet", "")),
    "table missing": Case(("find",), ("segments.parquet is missing",), RECORD, spoilt("segments.parquet", None)),
    "a text in place of a table": Case(("find",), (NAME,), RECORD, spoilt("segments.parquet", "hello")),
    "manifest broken": Case(("find",), ("recording.json",), RECORD, spoilt("recording.json", '{"for')),
    "manifest of another kind": Case(("price",), ("recording.json",), RECORD, spoilt("recording.json", "[]")),
    "newer recording": Case(
        ("find",), ("format 7", "0.9.0"), "pip install 'rung[tool]>=0.9.0'",
        spoilt("recording.json", '{"format": 7, "rung": "0.9.0", "sealed": true}'),
    ),
    "wrong key": Case(("find",), ("goal.latncy", "did you mean 'goal.latency'"), SEE, settings("[goal]\nlatncy = 1")),
    "wrong unit": Case(("find",), ("goal.latency", "300", "rung.toml"), SEE, settings("[goal]\nlatency = 300")),
    "wrong type": Case(("find",), ("goal.latency", "[1]"), SEE, settings("[goal]\nlatency = [1]")),
    "value for a table": Case(("find",), ("'goal'",), SEE, settings("goal = 1")),
    "not TOML": Case(("ledger",), ("rung.toml", "line 1"), SEE, settings("goal latency")),
    "not UTF-8": Case(("find",), ("rung.toml", "UTF-8"), SEE, settings(b"\xff\xfe")),
    "rung.toml is a folder": Case(("find",), ("rung.toml", "directory"), SEE, file("rung.toml/x", "")),
    "wrong variable": Case(("find",), ("RUNG_GOAL_LATENCY",), SEE, environ={"RUNG_GOAL_LATENCY": "fast"}),
    "percentile 0": Case(("find", "--percentile", "0"), ("'0'", "50 to 99"), SEE),
    "percentile abc": Case(("find", "--percentile", "abc"), ("'abc'", "50 to 99"), SEE),
    "percentile 100": Case(("price", "--percentile", "100"), ("'100'", "50 to 99"), SEE),
    "latency without a unit": Case(("find", "--latency", "300"), ("'300'", "'300ms'"), SEE),
    "latency of nothing": Case(("find", "--latency", "0ms"), ("'0ms'",), SEE),
    "database refused": Case(("take", "--apply", "--database", NOBODY), ("127.0.0.1:1",), "psql", recorded),
    "undo refused": Case(("take", "--undo", "--database", NOBODY), ("127.0.0.1:1",), "psql", taken),
    "undo of nothing": Case(("take", "--undo", "--database", NOBODY), ("the ledger is empty",), "rung take", recorded),
    "fresh refused": Case(("find", "--fresh", "--database", NOBODY), ("127.0.0.1:1",), "psql", recorded),
    "fresh without a database": Case(("find", "--fresh"), ("no database",), "rung find --fresh --database", recorded),
    "database not given": Case(("take", "--apply"), ("no database",), "rung take --apply --database", recorded),
    "database no address": Case(("take", "--apply", "--database", "garbage"), ("postgresql://",), "psql", recorded),
    "variable of the database": Case(("find",), ("NOPE is not set",), SEE, settings('[database]\nurl = "env:NOPE"')),
    "folder unwritable": Case(
        ("record", "--", sys.executable, "-c", ""), ("/proc/none",), "RUNG=off rung record", status=125,
        environ={"RUNG_FOLDER": "/proc/none"},
    ),
    "record nothing": Case(("record",), ("command",), RECORD, status=125),
    "record what is not there": Case(("record", "--", "uvicron"), ("'uvicron'",), RECORD, status=127),
    "record with a wrong flag": Case(
        ("record", "--naem", "x", "--", "true"), ("'--name'",), "rung record --help", status=125
    ),
    "record with a wrong setting": Case(
        ("record", "--", "true"), ("goal.latency",), SEE, settings('[goal]\nlatency = "300"'), status=125
    ),
    "nothing listens": Case(("load", "http://127.0.0.1:1/", "--duration", "1s"), ("127.0.0.1:1",), RECORD),
    "no URL": Case(("load",), ("url",), "rung load --help"),
    "bad URL": Case(("load", "localhost"), ("'localhost'", "http://"), SEE),
    "bad scheme": Case(("load", "ftp://localhost/"), ("'ftp://localhost/'",), SEE),
    "bad rate": Case(("load", "http://127.0.0.1:1/", "--rate", "fast"), ("--rate", "'fast'"), SEE),
    "rate of nothing": Case(("load", "http://127.0.0.1:1/", "--rate", "0"), ("--rate", "'0'"), SEE),
    "bad seed": Case(("load", "http://127.0.0.1:1/", "--seed", "x"), ("seed", "'x'"), SEE),
    "too much load": Case(("load", "http://127.0.0.1:1/", "--duration", "900d"), ("requests",), SEE),
    "missing file": Case(("load", "http://127.0.0.1:1/", "--routes", "no.toml"), ("no.toml",), "rung load --help"),
    "wrong key in the file": Case(
        ("load", "http://127.0.0.1:1/", "--routes", "l.toml"), ("pathh",), "rung load --help",
        file("l.toml", 'rate = 5.0\n[[routes]]\npathh = "/"\nweight = 1\n'),
    ),
    "unknown move": Case(("take", "cache"), ("'cache'", "index:orders"), "rung price", recorded),
    "no move": Case(("take",), ("no move", ), "rung price", healthy),
    "undo and apply": Case(("take", "--undo", "--apply"), ("--undo", "--apply"), "rung take --undo", recorded),
    "unknown move of the ledger": Case(("confirm", "--move", "cache"), ("'cache'",), "rung ledger", recorded),
    "broken ledger": Case(("ledger",), ("0001-index-orders.toml",), "git log", two_ledgers),
    "take on a broken ledger": Case(("take",), ("0001-index-orders.toml",), "git log", two_ledgers),
}  # fmt: skip
# Somebody else's words stand behind these, so --json is not ours to read.
WITHOUT_JSON = {"record", "fnd", "--verison"}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    case.made(tmp_path)
    before = listing(tmp_path)
    done = run(tmp_path, *case.words, **case.environ)

    assert done.returncode == case.status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert_three_parts(done.stderr, case)
    assert "secret" not in done.stderr
    assert listing(tmp_path) == before


def assert_three_parts(said: str, case: Case) -> None:
    what, why, steps = said.rstrip("\n").split("\n\n")
    assert what.startswith("rung: ")
    assert "\n" not in what
    assert why.strip()
    for word in case.says:
        assert word in what + why
    assert case.way_out in steps


@pytest.mark.parametrize("name", every(3, (name for name, case in CASES.items() if case.words[0] not in WITHOUT_JSON)))
def test_a_refusal_in_json(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The same refusal for a program: one document on standard output, and nothing beside it.
    """
    case = CASES[name]
    if case.words[-1] == "--database":
        pytest.skip("--json would be taken for the value that is missing")
    case.made(tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable in set(os.environ) - set(environment()):
        monkeypatch.delenv(variable)
    for variable, value in case.environ.items():
        monkeypatch.setenv(variable, value)
    status = main([*case.words, "--json"])

    printed = capsys.readouterr()
    assert (status, printed.err) == (case.status, "")
    said = json.loads(printed.out)
    assert misfits(said, case.words[0]) == []
    assert any(case.way_out in step["command"] for step in said["error"]["steps"])


def test_no_command_shows_what_there_is(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rung find" in done.stdout
    assert listing(tmp_path) == {}


def test_a_flag_before_the_command_is_told_where_it_goes(tmp_path: Path) -> None:
    done = run(tmp_path, "--json", "find")
    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout)["error"]["steps"] == [{"what": "Type", "command": "rung find --json"}]


def test_an_ambiguous_move_names_those_it_could_be() -> None:
    """
    One file of moves offers one index today; what happens with two is shown on values.
    """
    from types import SimpleNamespace

    from rung.errors import UsageError
    from rung.surfaces.cli import chosen

    quotes = [quote_of(name=f"index:orders({column})") for column in ("a", "b")]
    look = SimpleNamespace(quotes=quotes, finding=SimpleNamespace(bottleneck=object()))
    with pytest.raises(UsageError) as told:
        chosen(look, "index:")  # type: ignore[arg-type]
    assert [line for _, line in told.value.steps] == ["rung take 'index:orders(a)'", "rung take 'index:orders(b)'"]
    assert chosen(look, "index:orders(b") == quotes[1]  # type: ignore[arg-type]


def test_a_whole_name_is_that_move_though_others_begin_with_it() -> None:
    from types import SimpleNamespace

    from rung.surfaces.cli import chosen

    small, large = (quote_of(name=f"pool:{size}", plan=None, setting=Setting("", "")) for size in (2, 20))
    look = SimpleNamespace(quotes=[large, small], finding=SimpleNamespace(bottleneck=object()))

    assert chosen(look, "pool:2") == small  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_ours_to_write(tmp_path: Path) -> None:
    recorded(tmp_path)
    tmp_path.chmod(0o500)
    try:
        done = run(tmp_path, "take")
    finally:
        tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "rung/migrations" in done.stderr


def test_a_file_where_the_ledger_should_be(tmp_path: Path) -> None:
    recorded(tmp_path)
    (tmp_path / "rung").mkdir()
    (tmp_path / "rung" / "ledger").touch()
    done = run(tmp_path, "take")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "rung/ledger" in done.stderr

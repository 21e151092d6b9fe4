"""
Every N+1 is found with its line, none on the fixed twins, and none in loops that are for other reasons.

One process a framework serves all of its cases on a real PostgreSQL and is recorded once; each case is judged from
that.  Then the patches that rung wrote are applied to a copy of the app, and that is recorded as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rung.adapters import launcher
from rung.adapters.cluster import Cluster
from rung.adapters.recordings import ParquetRecording
from rung.adapters.repository import RepositoryFiles
from rung.moves.eager import Remedy, remedy
from rung.steps.find.repeats import WRITES, Repeat, repeats
from tests.ports import free_port
from tests.probe.serving import PATIENCE_S, ask, end, wait_listening
from tests.strategies import answered

HERE = Path(__file__).resolve().parent
TIMES = 2
# Between two requests, so that all reads are digested: above 200 a second they are sampled.
PAUSE_S = 0.05
SHARDS = 5

ALCHEMY = (
    "to-one", "to-many", "template", "serializer", "property", "get", "count", "exists", "aggregate", "first",
    "many-to-many", "raw", "deferred", "reverse-one-to-one", "asked-before",
    "async/awaitable", "async/run-sync", "async/gather", "async/ids", "async/raw",
)  # fmt: skip
ALCHEMY_LOOPS = (
    "keyset", "offset", "keyset-of-one", "retries", "polling", "batch-of-writes", "different", "tables", "shards",
    "chunks", "prefetch", "same",
)  # fmt: skip
DJANGO = (
    "to-one", "to-many", "template", "serializer", "property", "get", "count", "exists", "aggregate", "first",
    "many-to-many", "manager", "raw", "only", "defer", "reverse-one-to-one", "asked-before", "one-parent",
    "asynchronous",
)  # fmt: skip
DJANGO_LOOPS = (
    "keyset", "pages", "retries", "polling", "batch-of-writes", "different", "tables", "chunks", "prefetch", "same",
)  # fmt: skip


# What rung writes into the code, by route; of all others it says in words what to do.
ALCHEMY_PATCHES = {
    "to-one": ".options(joinedload(Purchase.customer))",
    "to-many": ".options(selectinload(Purchase.lines))",
    "nested": ".options(selectinload(Purchase.lines))",
    "template": ".options(joinedload(Purchase.customer))",
    "serializer": ".options(selectinload(Purchase.lines))",
    "property": ".options(selectinload(Purchase.lines))",
    "many-to-many": ".options(selectinload(Product.tags))",
    "deferred": ".options(undefer(Purchase.note))",
    "reverse-one-to-one": ".options(joinedload(Purchase.invoice))",
    "asked-before": ".options(joinedload(Purchase.customer))",
    "async/awaitable": ".options(selectinload(Purchase.lines))",
    "async/run-sync": ".options(joinedload(Line.product))",
}
DJANGO_PATCHES = {
    "to-one": '.select_related("customer")',
    "to-many": '.prefetch_related("lines")',
    "many-to-many": '.prefetch_related("tags")',
    "reverse-one-to-one": '.select_related("invoice")',
    "one-parent": '.select_related("purchase")',
}


@dataclass(frozen=True)
class Judged:
    """
    What was found in the recording of one framework's cases.
    """

    found: tuple[Repeat, ...]
    marks: dict[str, str]

    def of(self, route: str) -> list[Repeat]:
        """
        Return what repeats on a route.
        """
        return [each for each in self.found if each.route == f"GET /{route}"]

    def lines(self, route: str) -> list[str]:
        """
        Return the lines of the N+1 of a route.
        """
        return sorted(each.code for each in self.of(route) if not each.why_not)

    def line(self, mark: str) -> str:
        """
        Return the line that is marked.
        """
        return self.marks[mark.replace("/", "-")]


def marks(*files: str) -> dict[str, str]:
    """
    Return file and number of each line that is marked at its end, by its mark.
    """
    found: dict[str, str] = {}
    for file in files:
        for number, line in enumerate((HERE / file).read_text("utf-8").splitlines(), 1):
            _, found_mark, mark = line.removesuffix("#}").partition("# MARK ")
            if found_mark:
                assert mark.strip() not in found, mark
                found[mark.strip()] = f"{file}:{number}"
    return found


@pytest.fixture(scope="module")
def databases(cluster: Cluster) -> Iterator[list[str]]:
    """
    The URLs of a database with the tables, and of some empty ones.
    """
    names = [f"nplusone_{uuid.uuid4().hex}" for _ in range(1 + SHARDS)]
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(cluster.dsn(names[0]), autocommit=True) as connection:
        connection.execute((HERE / "tables.sql").read_text("utf-8").encode())
    try:
        yield [cluster.dsn(name) for name in names]
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def recorded(
    app: str, paths: list[str], folder: Path, databases: list[str], *, place: Path = HERE
) -> tuple[Repeat, ...]:
    """
    Serve *app*, which lies in *place*, recorded, ask it for each path, and return what repeats in the recording.
    """
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": databases[0],
        "SHARDS": ",".join(databases[1:]),
        "DJANGO_SETTINGS_MODULE": "pages_site.settings",
    }
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    started = launcher.start(
        command, folder=folder, environment=environment, quiet=True, cwd=place, stderr=subprocess.DEVNULL
    )
    try:
        wait_listening(port, started.process)
        for path in [each for each in paths for _ in range(TIMES)]:
            status, _, body = ask(port, f"/{path}")
            assert 200 == status, f"{path}: {body}"
            time.sleep(PAUSE_S)
    finally:
        end(started.process)
        started.seal(PATIENCE_S)
    return answered(repeats(), ParquetRecording(started.recording).rows)


def _with_twins(cases: tuple[str, ...]) -> list[str]:
    return [path for case in (*cases, "nested", "update") for path in (case, f"{case}/fixed")]


@pytest.fixture(scope="module")
def alchemy(databases: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """
    SQLAlchemy, sync on psycopg and async on asyncpg.
    """
    paths = _with_twins(ALCHEMY) + [f"loop/{name}" for name in ALCHEMY_LOOPS]
    found = recorded("alchemy_app:app", paths, tmp_path_factory.mktemp("recorded") / ".rung", databases)
    return Judged(found, marks("alchemy_models.py", "alchemy_sync.py", "alchemy_async.py", "templates/purchases.html"))


@pytest.fixture(scope="module")
def django(databases: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """
    Django on psycopg.
    """
    paths = _with_twins(DJANGO) + [f"loop/{name}" for name in DJANGO_LOOPS]
    found = recorded("pages_site.asgi:application", paths, tmp_path_factory.mktemp("recorded") / ".rung", databases)
    files = ("models.py", "views.py", "templates/purchases.html")
    return Judged(found, marks(*(f"pages_site/{file}" for file in files)))


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize("case", ALCHEMY)
def test_sqlalchemy_found_with_its_line_and_not_where_it_is_fixed(alchemy: Judged, case: str) -> None:
    assert [alchemy.line(case)] == alchemy.lines(case), alchemy.of(case)
    assert [] == alchemy.lines(f"{case}/fixed"), alchemy.of(f"{case}/fixed")


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize("case", DJANGO)
def test_django_found_with_its_line_and_not_where_it_is_fixed(django: Judged, case: str) -> None:
    assert [django.line(case)] == django.lines(case), django.of(case)
    assert [] == django.lines(f"{case}/fixed"), django.of(f"{case}/fixed")


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize("loop", ALCHEMY_LOOPS)
def test_a_loop_of_sqlalchemy_for_another_reason_is_none(alchemy: Judged, loop: str) -> None:
    assert [] == alchemy.lines(f"loop/{loop}"), alchemy.of(f"loop/{loop}")


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize("loop", DJANGO_LOOPS)
def test_a_loop_of_django_for_another_reason_is_none(django: Judged, loop: str) -> None:
    assert [] == django.lines(f"loop/{loop}"), django.of(f"loop/{loop}")


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize("framework", ["alchemy", "django"])
def test_one_inside_another_is_found_as_two(framework: str, request: pytest.FixtureRequest) -> None:
    """
    The inner one is for each row of all executions of the outer one, and says so.
    """
    judged: Judged = request.getfixturevalue(framework)
    outer, inner = judged.line("nested-outer"), judged.line("nested-inner")
    by_line = {each.code: each for each in judged.of("nested")}

    assert sorted([outer, inner]) == judged.lines("nested")
    assert (8, 24) == (by_line[outer].calls, by_line[inner].calls)
    assert by_line[inner].source == by_line[outer].statement
    assert by_line[inner].one_for_each
    assert [] == judged.lines("nested/fixed")


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize("framework", ["alchemy", "django"])
def test_a_write_for_each_row_is_told_and_is_no_n_plus_one(framework: str, request: pytest.FixtureRequest) -> None:
    judged: Judged = request.getfixturevalue(framework)

    assert [] == judged.lines("update")
    assert [(judged.line("update"), 8, WRITES)] == [(e.code, e.calls, e.why_not) for e in judged.of("update")]
    assert [] == judged.of("update/fixed")


def patched(judged: Judged, place: Path) -> dict[str, Remedy]:
    """
    Apply the patches for what was found to a copy of the apps in *place*, and return each remedy by its route.
    """
    shutil.copytree(HERE, place, ignore=shutil.ignore_patterns("__pycache__"))
    remedies = {}
    for repeat in judged.found:
        if not repeat.why_not:
            found: Remedy = answered(remedy(repeat), RepositoryFiles(place).source)
            route = repeat.route.removeprefix("GET /")
            if found.patch is not None or route not in remedies:
                remedies[route] = found
            if found.patch is not None:
                subprocess.run(["git", "apply", "-"], cwd=place, input=found.patch.diff.encode(), check=True)
    return remedies


@pytest.mark.xdist_group("nplusone")
@pytest.mark.parametrize(
    ("framework", "app", "expected"),
    [
        ("alchemy", "alchemy_app:app", ALCHEMY_PATCHES),
        ("django", "pages_site.asgi:application", DJANGO_PATCHES),
    ],
)
def test_the_patches_take_away_what_they_are_for(
    framework: str,
    app: str,
    expected: dict[str, str],
    databases: list[str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """
    Where the source leaves no doubt there is a patch, and the patched app asks once; else there are words.
    """
    judged: Judged = request.getfixturevalue(framework)
    remedies = patched(judged, tmp_path / "app")
    told = {route: found.words.partition(" at ")[0] for route, found in remedies.items() if found.patch is not None}
    after = recorded(app, list(expected), tmp_path / ".rung", databases, place=tmp_path / "app")

    assert expected == told
    assert all(found.words for found in remedies.values())
    left = {each.code for each in after if not each.why_not}
    assert left == ({judged.line("nested-inner")} if "nested" in expected else set())

"""
Copy definitions and statistics, and no row, into a database of the twin.

In        a DSN, or a file that pg_dump wrote elsewhere; names of tables and views
Out       the twin's database filled; what did not arrive
Not here  how large things are (facts.py, growing.py)
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from rung.adapters.cluster import Cluster
from rung.adapters.planner.facts import Facts
from rung.adapters.postgres import Named, address, connected, parts_of
from rung.errors import DatabaseRefused

COPY_TIMEOUT_S = 60
# What a planner does not look at is left out.
DUMP_FLAGS = (
    "--format=custom", "--no-owner", "--no-privileges", "--no-password", "--no-publications", "--no-subscriptions",
    "--no-security-labels", "--no-comments", "--no-tablespaces", "--lock-wait-timeout=500ms",
)  # fmt: skip
# All that is no table comes first: pg_dump leaves out what a table it was asked for depends on (schemas, types,
# functions).
SURROUNDINGS_FLAGS = ("--schema-only", "--section=pre-data", "--exclude-table=*.*")
TABLES_FLAGS = ("--no-data", "--statistics")


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What could not be restored, in the server's words, and the first line of what was tried.
    """

    said: str
    command: str


def copy(dsn: str, twin: Cluster, database: str, names: Collection[Named], facts: Facts) -> list[Problem]:
    """
    Copy the tables and views *names*, and return what went wrong on the way.

    Raises:
        DatabaseRefused: pg_dump did not get what it asked for.
    """
    tables = [f"--table={_pattern(schema)}.{_pattern(name)}" for schema, name in sorted(names)]
    return fill(
        twin, database, [_dump(dsn, twin, SURROUNDINGS_FLAGS), _dump(dsn, twin, [*TABLES_FLAGS, *tables])], facts
    )


def fill(twin: Cluster, database: str, dumps: Sequence[bytes | Path], facts: Facts) -> list[Problem]:
    """
    Restore *dumps*, the surroundings first, and return what did not arrive.
    """
    surroundings, *tables = dumps
    problems = restore(twin, database, surroundings)
    _stand_in(twin, database, facts)
    return problems + [problem for dump in tables for problem in restore(twin, database, dump)]


def _stand_in(twin: Cluster, database: str, facts: Facts) -> None:
    """
    Make a table for each materialized view, which takes its statistics and indexes.

    The planner reads it like a table, and its query would need tables that no statement reads.
    """
    if not facts.materialized:
        return
    with connected(twin.dsn(database), options="", autocommit=True) as connection:
        # Types are told as they are seen with it.
        connection.execute("select set_config('search_path', %s, false)", (facts.settings["search_path"],))
        for view in facts.materialized:
            columns = [
                sql.SQL("{} {}{}").format(
                    sql.Identifier(name),
                    sql.SQL(kind),
                    sql.SQL(" collate {}").format(sql.Identifier(*collation)) if collation else sql.SQL(""),
                )
                for name, kind, collation in view.columns
            ]
            making = sql.SQL("create table {} ({})").format(
                sql.Identifier(view.schema, view.name), sql.SQL(", ").join(columns)
            )
            # Without one of its types it cannot be; that it did not arrive is then told.
            with suppress(psycopg.Error):
                connection.execute(making)


def _dump(dsn: str, twin: Cluster, what: Sequence[str]) -> bytes:
    parts = parts_of(dsn)
    # Arguments can be read by everybody on the machine; libpq takes the password from the environment too.
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "5", "PGAPPNAME": "rung"}
    if "password" in parts:
        environment["PGPASSWORD"] = parts.pop("password")
    command = [
        str(twin.binaries / "pg_dump"), *DUMP_FLAGS, *what, "--dbname", conninfo.make_conninfo("", **parts),
    ]  # fmt: skip
    try:
        taken = subprocess.run(command, capture_output=True, env=environment, timeout=COPY_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise DatabaseRefused(address(dsn), f"pg_dump took longer than {COPY_TIMEOUT_S} s") from None
    if taken.returncode:
        problems = _problems(taken.stderr)
        raise DatabaseRefused(address(dsn), problems[0].said if problems else "pg_dump failed")
    return taken.stdout


def restore(twin: Cluster, database: str, dump: bytes | Path) -> list[Problem]:
    """
    Restore *dump* as far as it goes, and return what did not arrive.

    Much may fail and play no part in a plan: foreign keys to tables that were not taken along, triggers,
    extensions that the twin does not have.
    """
    there = conninfo.conninfo_to_dict(twin.dsn(database))
    environment = {**os.environ, "PGPASSWORD": str(there.pop("password"))}
    command = [str(twin.binaries / "pg_restore"), "--no-owner", "--dbname", conninfo.make_conninfo("", **there)]
    content = dump.read_bytes() if isinstance(dump, Path) else dump
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, env=environment, timeout=COPY_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [Problem(f"pg_restore took longer than {COPY_TIMEOUT_S} s", "")]
    return _problems(done.stderr)


def _problems(said: bytes) -> list[Problem]:
    # "pg_restore: error: could not execute query: ERROR:  type "geometry" does not exist", a line with the place, and
    # "Command was: CREATE TABLE public.places ("
    problems = []
    for told in re.split(r"^pg_(?:dump|restore): ", said.decode(errors="replace"), flags=re.MULTILINE):
        what = re.match(r"error: (?:.*ERROR:\s+)?(.+)", told)
        command = re.search(r"^Command was: (.+)", told, flags=re.MULTILINE)
        # What came with the surroundings comes again with the tables of a whole dump.
        if what is not None and not what[1].endswith("already exists"):
            problems.append(Problem(what[1], command[1] if command else ""))
    return problems


def _pattern(name: str) -> str:
    # pg_dump's --table takes a pattern; inside double quotes it is taken literally.
    return '"' + name.replace('"', '""') + '"'

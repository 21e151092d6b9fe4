"""
Build the index of a partitioned table, partition by partition, and drop it again.

In        a connection, the index that is wanted
Out       an index that is valid on the parent and on each partition
Not here  building one index (hands.py), refusing what cannot be built

PostgreSQL refuses CONCURRENTLY on a partitioned table.  So the parent is given an index of its own first (ON ONLY: no
partition has one yet, and it is invalid), each partition one without blocking writers, and each is attached; with the
last the parent's becomes valid.  What is there already is left alone, so a second run goes on where one was ended.
Source: PostgreSQL documentation, CREATE INDEX (ON ONLY) and ALTER INDEX (ATTACH PARTITION).

Three statements take locks that readers or writers wait behind: CREATE INDEX ON ONLY, ATTACH PARTITION and DROP INDEX.
Each needs only a moment, but would wait for open transactions, with everybody else queueing behind it; so each gives up
at once and tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from rung.adapters.index_state import state_of
from rung.clock import monotonic_s, sleep
from rung.errors import BuildFailed
from rung.ports import NamedIndex, Say, Statement
from rung.steps.take.sql import body_of, child_name, identifier
from rung.units import show_seconds

Connection = psycopg.Connection[Any]

BRIEFLY_S_MAX = 0.05  # half of what nobody of the app's is to wait for us
AGAIN_EVERY_S = 0.5

TREE = """
select t.relid::bigint, t.parentrelid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
       {child}
from pg_partition_tree(%s::regclass) t
join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
order by t.level, t.relid
"""
# The indexes that have joined the parent's, by the table each is on.
JOINED = """
select i.indrelid::bigint, n.nspname::text, c.relname::text, i.indisvalid
from pg_partition_tree(%s::regclass) t
join pg_index i on i.indexrelid = t.relid
join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
"""

Built = Callable[[NamedIndex], None]


def build_on_partitions(
    connection: Connection, wanted: NamedIndex, *, build: Built, say: Say, patience_s: float
) -> None:
    """
    Bring about *wanted* on its table and all its partitions.

    Args:
        build: Builds one partition's index, or raises.
        patience_s: How long a brief statement is tried again.

    Raises:
        BuildFailed: a partition cannot have one, or somebody else's index has a name of ours.
    """
    tree = _tree(connection, wanted)
    foreign = [f"{row[2]}.{row[3]}" for row in tree if row[4] == "f"]
    if foreign:
        raise BuildFailed(
            wanted.create.sql, f"the partition {foreign[0]} is a foreign table", left="Nothing was changed."
        )
    if state_of(connection, wanted.schema, wanted.name) is None:
        say(f"the parent's index first, invalid until every partition has its own: {wanted.name}")
        briefly(connection, _of(wanted, tree[0], wanted.name, only=True).create, say=say, patience_s=patience_s)
    names = {tree[0][0]: (wanted.schema, wanted.name)}
    for place, row in enumerate(tree[1:], 1):
        oid, parent, schema, table, kind, name = row
        joined = {row[0]: row[1:] for row in _joined(connection, wanted)}
        if oid in joined:
            names[oid] = joined[oid][:2]
            continue
        names[oid] = (schema, name)
        say(f"{place} of {len(tree) - 1} partitions: {schema}.{table}")
        part = _of(wanted, row, name, only=kind == "p")
        if kind != "p":
            build(part)
        elif state_of(connection, schema, name) is None:
            briefly(connection, part.create, say=say, patience_s=patience_s)
        attach = sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(
            sql.Identifier(*names[parent]), sql.Identifier(schema, name)
        )
        briefly(connection, Statement(attach.as_string(connection)), say=say, patience_s=patience_s)


def left_on_partitions(connection: Connection, wanted: NamedIndex) -> str:
    """
    Return in a sentence how much of *wanted* there is.
    """
    if state_of(connection, wanted.schema, wanted.name) is None:
        return "Nothing was left behind."
    tree, joined = _tree(connection, wanted), _joined(connection, wanted)
    done = sum(1 for row in joined if row[0] != tree[0][0] and row[3])
    return (
        f"{done} of {len(tree) - 1} partitions have the index, and no plan uses the parent's ({wanted.name}) until all "
        "have; the same again goes on from here, and --undo takes away what there is."
    )


def drop_on_partitions(connection: Connection, wanted: NamedIndex, *, say: Say, patience_s: float) -> None:
    """
    Drop the parent's index with those that joined it, and ours that had not joined yet.
    """
    tree = _tree(connection, wanted)
    briefly(connection, _drop(wanted.schema, wanted.name), say=say, patience_s=patience_s)
    for _, _, schema, _, kind, name in tree[1:]:
        state = state_of(connection, schema, name)
        if state is not None and not state.attached and kind != "p":
            connection.execute(sql.SQL("drop index concurrently if exists {}").format(sql.Identifier(schema, name)))
        elif state is not None and not state.attached:
            briefly(connection, _drop(schema, name), say=say, patience_s=patience_s)


def _drop(schema: str, name: str) -> Statement:
    return Statement(f"DROP INDEX IF EXISTS {identifier(schema)}.{identifier(name)}")


def briefly(connection: Connection, statement: Statement, *, say: Say, patience_s: float) -> None:
    """
    Run a statement that others wait behind, waiting for its locks for a moment at a time.

    Raises:
        psycopg.errors.LockNotAvailable: it found none within *patience_s*.
    """
    before = connection.execute("select current_setting('lock_timeout')").fetchone()
    assert before is not None
    deadline_s, told = monotonic_s() + patience_s, False
    try:
        connection.execute(sql.SQL("set lock_timeout = {}").format(f"{BRIEFLY_S_MAX:.3f}s"))
        while True:
            try:
                connection.execute(statement.sql.encode())
                return
            except psycopg.errors.LockNotAvailable:
                if monotonic_s() > deadline_s:
                    raise
            if not told:
                say(f"waiting for a moment without open transactions, for at most {show_seconds(patience_s)}")
                told = True
            sleep(AGAIN_EVERY_S)
    finally:
        if not connection.closed:
            connection.execute("select set_config('lock_timeout', %s, false)", before)


def _of(wanted: NamedIndex, row: tuple[Any, ...], name: str, *, only: bool) -> NamedIndex:
    """
    Return the index *name* of one table of the tree, without blocking writers or without its partitions.
    """
    schema, table = row[2:4]
    how = "INDEX" if only else "INDEX CONCURRENTLY"
    if wanted.index is not None:
        body = body_of(wanted.index)
    else:
        definition = wanted.create.sql
        body = f"USING {definition.partition(' USING ')[2]}"
        how = f"UNIQUE {how}" if definition.startswith("CREATE UNIQUE") else how
    on = f"{'ONLY ' if only else ''}{identifier(schema)}.{identifier(table)}"
    create = Statement(f"CREATE {how} {identifier(name)} ON {on} {body}")
    return replace(wanted, schema=schema, table=table, name=name, create=create)


def _tree(connection: Connection, wanted: NamedIndex) -> list[tuple[Any, ...]]:
    question = sql.SQL(TREE).format(child=sql.SQL(child_name(wanted.name, "c", "n").replace("%", "%%")))
    table = sql.Identifier(wanted.schema, wanted.table).as_string(connection)
    return connection.execute(question, (table,)).fetchall()


def _joined(connection: Connection, wanted: NamedIndex) -> list[tuple[Any, ...]]:
    index = sql.Identifier(wanted.schema, wanted.name).as_string(connection)
    return connection.execute(JOINED, (index,)).fetchall()

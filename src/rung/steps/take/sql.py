"""
Write an index as SQL: the statements that build and drop it without blocking writers, its name, its files.

In        an Index and a name, or the definition of an index that is there
Out       statements, and the text of a migration and of its undo for psql
Not here  other formats of migrations (alembic.py, django.py), running any of it (adapters/hands.py)

Why CREATE INDEX CONCURRENTLY is written as it is: a short lock_timeout fails the build when one writer
is open and leaves an INVALID index, on which IF NOT EXISTS then "succeeds"; its waits block nobody, so
minutes are right.  A statement_timeout would kill a long build.  Success is `indisvalid`, never the
absence of an error.
"""

from __future__ import annotations

import hashlib
import re

from rung.ports import Index, IndexColumn, NamedIndex, Statement

NAME_BYTES_MAX = 63  # PostgreSQL cuts a longer identifier (NAMEDATALEN - 1)
NAME_SUFFIX = "_rung"  # by which a leftover of ours is told from somebody's index
PATIENCE = ("SET statement_timeout = 0", "SET lock_timeout = '{timeout_s}s'")
NO_PATIENCE = ("RESET lock_timeout", "RESET statement_timeout")


def create_index(index: Index, name: str) -> Statement:
    """
    Return the statement that builds *index* without blocking writers.

    >>> create_index(Index("public", "orders", (IndexColumn("id", True),)), "by_id").sql
    'CREATE INDEX CONCURRENTLY "by_id" ON "public"."orders" ("id" DESC)'
    """
    return Statement(f"CREATE INDEX CONCURRENTLY {identifier(name)} ON {table_of(index)} {body_of(index)}")


def create_at_once(index: Index, name: str) -> Statement:
    """
    Return the statement that builds *index* while writers wait: for a table that nobody else writes to.
    """
    return Statement(f"CREATE INDEX {identifier(name)} ON {table_of(index)} {body_of(index)}")


def create_on_only(index: Index, name: str) -> Statement:
    """
    Return the statement that gives a partitioned table an index that its partitions' indexes can join.
    """
    return Statement(f"CREATE INDEX {identifier(name)} ON ONLY {table_of(index)} {body_of(index)}")


def drop_index(index: Index, name: str, *, partitioned: bool = False) -> Statement:
    """
    Return the statement that takes an index away, without blocking writers.

    PostgreSQL drops the index of a partitioned table, with those of its partitions, at once or not at all.
    """
    how = "" if partitioned else "CONCURRENTLY "
    return Statement(f"DROP INDEX {how}IF EXISTS {identifier(index.schema)}.{identifier(name)}")


def concurrently(definition: str) -> Statement:
    """
    Return the statement that builds an index again from its definition, as pg_get_indexdef gives it.

    >>> concurrently("CREATE UNIQUE INDEX by_id ON public.orders USING btree (id)").sql
    'CREATE UNIQUE INDEX CONCURRENTLY by_id ON public.orders USING btree (id)'
    """
    return Statement(re.sub(r"^(CREATE (?:UNIQUE )?INDEX )(?:CONCURRENTLY )?", r"\1CONCURRENTLY ", definition, count=1))


def table_of(index: Index) -> str:
    """
    Return the table of *index*, qualified and quoted.
    """
    return f"{identifier(index.schema)}.{identifier(index.table)}"


def body_of(index: Index) -> str:
    """
    Return what follows the table in CREATE INDEX: keys, columns carried along, predicate.

    >>> body_of(Index("public", "users", (IndexColumn("lower(email)", expression=True),), ("id",), "deleted IS NULL"))
    '((lower(email))) INCLUDE ("id") WHERE (deleted IS NULL)'
    """
    body = f"({', '.join(key_of(column) for column in index.columns)})"
    if index.include:
        body += f" INCLUDE ({', '.join(identifier(name) for name in index.include)})"
    return body + (f" WHERE ({index.where})" if index.where else "")


def key_of(column: IndexColumn) -> str:
    """
    Return one key as CREATE INDEX takes it.

    >>> key_of(IndexColumn("name", descending=True, nulls_first=False, opclass="text_pattern_ops"))
    '"name" "text_pattern_ops" DESC NULLS LAST'
    """
    written = f"({column.name})" if column.expression else identifier(column.name)
    if column.opclass:
        written += f" {identifier(column.opclass)}"
    if column.descending:
        written += " DESC"
    # NULLS FIRST is what DESC means by itself.
    if column.nulls_first is not None and column.nulls_first != column.descending:
        written += " NULLS FIRST" if column.nulls_first else " NULLS LAST"
    return written


def index_name(index: Index, *, bytes_max: int = NAME_BYTES_MAX) -> str:
    """
    Return a name that says what is indexed, ends in `_rung`, and fits PostgreSQL's 63 bytes.

    What does not show in the words of a name (an expression, a predicate, an order of nulls) is told by a digest of
    the whole, and so is what does not fit.

    >>> index_name(Index("public", "orders", (IndexColumn("customer_id"), IndexColumn("created_at", True))))
    'orders_customer_id_created_at_desc_rung'
    >>> index_name(Index("public", "users", (IndexColumn("lower(email)", expression=True),)))
    'users_lower_email_630fe167_rung'
    """
    words = [index.table]
    for column in index.columns:
        words += re.findall(r"\w+", column.name) if column.expression else [column.name]
        words += ["desc"] * column.descending
    plain = all(column == IndexColumn(column.name, column.descending) for column in index.columns)
    stem = "_".join(words)
    if plain and not index.include and not index.where and len((stem + NAME_SUFFIX).encode()) <= bytes_max:
        return stem + NAME_SUFFIX
    told = stem if plain and not index.include and not index.where else f"{table_of(index)} {body_of(index)}"
    digest = hashlib.blake2b(told.encode(), digest_size=4).hexdigest()
    room = bytes_max - len(NAME_SUFFIX) - len(digest) - 1
    return f"{stem.encode()[:room].decode(errors='ignore')}_{digest}{NAME_SUFFIX}"


MIGRATION = """\
-- {what}
-- Run it outside a transaction, on a direct connection (not through PgBouncer): psql -f THIS_FILE
-- Writers are not blocked; transactions older than the build delay it.
SET statement_timeout = 0;
SET lock_timeout = '{timeout_s}s';
{statement};
RESET lock_timeout;
RESET statement_timeout;
-- Must give t; if it gives f, the build failed half-way: run the undo, then this again.
{check};
"""

UNDO = """\
-- Undo of: {what}
SET lock_timeout = '{timeout_s}s';
{statement};
RESET lock_timeout;
"""

SCRIPT = """\
-- {what}
-- Run it outside a transaction, on a direct connection (not through PgBouncer): psql -f THIS_FILE
SET statement_timeout = 0;
SET lock_timeout = '{timeout_s}s';
{statements}
RESET lock_timeout;
RESET statement_timeout;
"""

PARTITIONED = """\
-- {what}
-- The table is partitioned, so every partition is given an index, one after the other, and the parent's joins them;
-- until it has them all it is invalid, and no plan uses it.  What is there is left out: this may be run again.
-- Run it outside a transaction, on a direct connection (not through PgBouncer): psql -f THIS_FILE
SET statement_timeout = 0;
-- A writer waits behind these for a moment: so they give up soon, and are run again by hand where they do.
SET lock_timeout = '1s';
CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} {body};
SELECT 'CREATE INDEX IF NOT EXISTS ' || {child} || format(' ON ONLY %I.%I ', n.nspname, c.relname) || {body_text}
{missing} AND NOT t.isleaf ORDER BY t.level, c.oid \\gexec
-- The partitions' own, without blocking writers.
SET lock_timeout = '{timeout_s}s';
SELECT format('CREATE INDEX CONCURRENTLY IF NOT EXISTS %s ON %I.%I ', {child}, n.nspname, c.relname) || {body_text}
{missing} AND t.isleaf ORDER BY c.oid \\gexec
SET lock_timeout = '1s';
SELECT format('ALTER INDEX %s ATTACH PARTITION %I.%s', {parent}, n.nspname, {child})
{missing} ORDER BY t.level, c.oid \\gexec
RESET lock_timeout;
RESET statement_timeout;
-- Must give t; if it gives f, a partition has none, or an invalid one: drop that, then run this again.
{check};
"""

UNDO_PARTITIONED = """\
-- Undo of: {what}
-- The indexes of the partitions go with the parent's.  Readers and writers wait behind this for a moment: so it gives
-- up soon, and is run again by hand where it does.
SET lock_timeout = '1s';
{statement};
RESET lock_timeout;
"""

# A partition's index has a name of its own, the same each time.
CHILD_NAME = """\
case when octet_length({relname}) <= 40 then {relname} || '_' else '' end \
|| left(md5({name} || '.' || {nspname} || '.' || {relname}), 16) || '_rung'"""
_MISSING = """\
FROM pg_partition_tree({table}::regclass) t
JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = t.parentrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE NOT EXISTS (
    SELECT FROM pg_partition_tree({index}::regclass) a JOIN pg_index i ON i.indexrelid = a.relid
    WHERE i.indrelid = t.relid
)"""


def migration_text(built: NamedIndex, drop: Statement, what: str, *, timeout_s: int) -> tuple[str, str]:
    """
    Return the text of the migration that builds an index, and of its undo, for psql.
    """
    check = validity_check(built.schema, built.name)
    if not built.partitioned or built.index is None:
        migration = MIGRATION.format(what=what, statement=built.create.sql, check=check, timeout_s=timeout_s)
        return migration, UNDO.format(what=what, statement=drop.sql, timeout_s=timeout_s)
    index, name = built.index, built.name
    own = f"{identifier(index.schema)}.{identifier(name)}"
    child = f"quote_ident({child_name(name, 'c', 'n')})"
    above = f"quote_ident(pn.nspname) || '.' || quote_ident({child_name(name, 'p', 'pn')})"
    migration = PARTITIONED.format(
        what=what, name=identifier(name), table=table_of(index), body=body_of(index), body_text=literal(body_of(index)),
        child=child, check=check, timeout_s=timeout_s,
        missing=_MISSING.format(table=literal(table_of(index)), index=literal(own)),
        parent=f"CASE WHEN p.oid = {literal(table_of(index))}::regclass THEN {literal(own)} ELSE {above} END",
    )  # fmt: skip
    return migration, UNDO_PARTITIONED.format(what=what, statement=drop.sql)


def script_text(statements: tuple[Statement, ...], what: str, *, timeout_s: int) -> str:
    """
    Return statements as a text for psql.
    """
    return SCRIPT.format(
        what=what, statements="\n".join(f"{statement.sql};" for statement in statements), timeout_s=timeout_s
    )


def child_name(name: str, relation: str, namespace: str) -> str:
    """
    Return the SQL expression of the name that a partition's index is given, by the aliases of its row in the catalog.
    """
    return CHILD_NAME.format(
        name=literal(name).strip(), relname=f"{relation}.relname::text", nspname=f"{namespace}.nspname"
    )


def validity_check(schema: str, name: str) -> str:
    """
    Return the question whether an index is valid.
    """
    qualified = literal(f"{identifier(schema)}.{identifier(name)}")
    return f"SELECT indisvalid FROM pg_index WHERE indexrelid = {qualified}::regclass"  # noqa: S608  # quoted above


def identifier(name: str) -> str:
    """
    Return *name* quoted as an SQL identifier.

    Source: PostgreSQL documentation, 4.1.1: a quote inside is doubled; a NUL cannot be in one.

    >>> print(identifier('a "b" c'))
    "a ""b"" c"
    """
    assert "\0" not in name
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """
    Return *text* quoted as an SQL string, whatever standard_conforming_strings says.

    >>> literal("it's")
    "'it''s'"
    """
    assert "\0" not in text
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted

"""
Say an index that could exist as the SQL that makes it, in the twin only.

In        an Index
Out       CREATE INDEX as one statement
Not here  the migration for the user's server (steps/take), running it (stage.py)
"""

from __future__ import annotations

from psycopg import sql

from rung.ports import Index, IndexColumn


def creation(index: Index, name: str) -> sql.Composed:
    """
    Return what makes *index* under the name *name*.

    Expressions and predicates are text as PostgreSQL writes it.  They stand in parentheses, and it is for the twin to
    refuse what is none: it is run by a protocol that takes a single statement only.

    >>> print(creation(Index("public", "t", (IndexColumn("a", True),), ("b",), "c > 1"), "i").as_string())
    create index "i" on "public"."t" ("a" desc) include ("b") where (c > 1)
    """
    parts = [
        sql.SQL("create index {} on {} ({})").format(
            sql.Identifier(name),
            sql.Identifier(index.schema, index.table),
            sql.SQL(", ").join(_key(column) for column in index.columns),
        )
    ]
    if index.include:
        parts.append(sql.SQL("include ({})").format(sql.SQL(", ").join(map(sql.Identifier, index.include))))
    if index.where:
        parts.append(sql.SQL("where ({})").format(sql.SQL(index.where)))
    return sql.SQL(" ").join(parts)


def _key(column: IndexColumn) -> sql.Composed:
    parts: list[sql.Composable] = [
        sql.SQL("({})").format(sql.SQL(column.name)) if column.expression else sql.Identifier(column.name)
    ]
    if column.opclass:
        parts.append(sql.Identifier(*column.opclass.split(".")))
    if column.descending:
        parts.append(sql.SQL("desc"))
    if column.nulls_first is not None:
        parts.append(sql.SQL("nulls first" if column.nulls_first else "nulls last"))
    return sql.SQL(" ").join(parts)

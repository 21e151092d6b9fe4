"""
How long each kind of work takes here: the constants that every prediction begins with.

In        a Stage; tables of its own that have nothing in common with those that predictions are judged by
Out       seconds for one of each of KINDS, and what is left unexplained of the statements that they are fitted to
Not here  learning from a recording (moves/timing.py), writes (writes.py)

The statements are chosen so that each kind of work is most of what some of them do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from psycopg import sql

from benchmarks.timing.stage import Stage
from rung.adapters.postgres import plan_of
from rung.moves.timing import SECONDS, fitted
from rung.moves.work import KINDS, work_of
from rung.ports import Table

TABLES = """
create table if not exists narrow as
    select i as id, (i * 7919::bigint % 50021)::int as many, (i * 104729::bigint % 499)::int as few, i % 1000 as v,
           'text ' || i as t from generate_series(1, (400000 * {scale})::int) i;
create table if not exists wide as
    select i as id, (i * 7919::bigint % 20011)::int as many, repeat(md5(i::text), 12) as body
    from generate_series(1, (100000 * {scale})::int) i;
create table if not exists small as select i as id, i % 100 as g, 'name ' || i as name
    from generate_series(1, (20000 * {scale})::int) i;
create unique index if not exists narrow_id on narrow (id);
create index if not exists narrow_many on narrow (many);
create index if not exists narrow_few on narrow (few, id);
create index if not exists wide_many on wide (many);
create unique index if not exists wide_id on wide (id);
create unique index if not exists small_id on small (id);
vacuum (freeze, analyze) narrow;
vacuum (freeze, analyze) wide;
vacuum (freeze, analyze) small
"""
NO_BITMAP, NO_INDEX = "enable_bitmapscan", "enable_indexscan"
NO_HASH = "enable_hashjoin"
THREE = "select n.id, w.id, s.name from narrow n join wide w on w.id = n.id join small s on s.id = w.id"
# A statement, with what the planner may not do: so that one kind of work is most of it.
STATEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("select id from narrow where id = 4711", ()),
    ("select * from small where id = 17", ()),
    ("select * from narrow where id in (1, 900, 1800, 2700, 3600, 4500, 5400, 6300, 7200, 8100)", (NO_BITMAP,)),
    ("select * from narrow where many = 4711", (NO_BITMAP,)),
    ("select * from wide where many = 471", (NO_BITMAP,)),
    ("select * from narrow where few = 17", (NO_BITMAP,)),
    ("select sum(v) from narrow where few between 17 and 20", (NO_BITMAP,)),
    ("select sum(v) from narrow where few = 17", (NO_INDEX,)),
    ("select sum(v) from narrow where few between 17 and 25", (NO_INDEX,)),
    ("select sum(v) from narrow where id between 1000 and 1100", (NO_BITMAP,)),
    ("select sum(v) from narrow where id between 1000 and 3000", (NO_BITMAP,)),
    ("select sum(v) from narrow where id between 1000 and 41000", (NO_BITMAP,)),
    ("select * from narrow where id between 1000 and 1100", (NO_BITMAP,)),
    ("select * from narrow where id between 1000 and 6000", (NO_BITMAP,)),
    ("select id, t from narrow order by id limit 20", ()),
    ("select id, t from narrow order by id desc limit 500", ()),
    ("select count(*) from narrow where many = 4711", (NO_BITMAP,)),
    ("select count(*) from narrow where few = 17", (NO_BITMAP,)),
    ("select count(*) from narrow where id between 1000 and 41000", (NO_BITMAP,)),
    ("select id from narrow where v = 1001", ()),
    ("select count(*) from narrow where v = 11", ()),
    ("select id from wide where body = 'x'", ()),
    ("select id from small where name = 'x'", ()),
    ("select id, t from narrow order by v, id limit 20", ()),
    ("select id, name from small order by name", ()),
    ("select id, t from narrow where few = 17 order by t", (NO_BITMAP,)),
    ("select id, t from narrow where few = 17 order by v desc limit 10", (NO_BITMAP,)),
    ("select v, count(*) from narrow group by v", ()),
    ("select g, count(*) from small group by g", ()),
    ("select count(*) from narrow n join small s on s.id = n.many where n.v = 11", ()),
    ("select count(*) from narrow n join small s on s.id = n.many", ()),
    ("select n.id, s.name from narrow n join small s on s.id = n.v where n.id between 100 and 120", (NO_HASH,)),
    ("select n.id, s.name from narrow n join small s on s.id = n.many where n.few = 17", (NO_HASH, NO_BITMAP)),
    ("select n.id, w.id from narrow n join wide w on w.id = n.id where n.id between 100 and 300", (NO_HASH,)),
    (THREE + " where n.id = 4711", ()),
    (THREE + " where n.id between 4711 and 4811", (NO_HASH,)),
)  # fmt: skip
ALWAYS_OFF = ("enable_memoize", "enable_mergejoin", "enable_material")
WIDE_OPEN, MISSES = 1.5, 0.1


def calibrated(stage: Stage, rounds: int = 3) -> dict[str, Any]:
    """
    Return the seconds of each kind of work, and each statement with what it took and what the fit says.
    """
    for statement in TABLES.split(";\n"):
        stage.connection.execute(sql.SQL(statement).format(scale=sql.Literal(stage.scale)))
    tables = _tables(stage)
    works, rows = [], []
    times: list[list[float]] = [[] for _ in STATEMENTS]
    for number in range(rounds):
        for place, (text, off) in enumerate(STATEMENTS):
            _switched(stage, off, "off")
            figures = stage.timed(text, [()])
            times[place].append(figures["exec_s"])
            if number == 0:
                tree = stage.connection.execute(b"explain (verbose, format json) " + text.encode()).fetchone()
                assert tree is not None
                works.append(work_of(plan_of(tree[0][0]["Plan"]), rows=figures["rows"], tables=tables).amounts)
            _switched(stage, off, "on")
    told_s = np.array([min(each) for each in times])
    prior_s = np.array([SECONDS[kind] for kind in KINDS])
    strays = np.array([1e-3, *(WIDE_OPEN for _ in KINDS)])
    moved, unsure = fitted(np.array(works), told_s, prior_s=prior_s, strays=strays, misses=np.full(len(told_s), MISSES))
    seconds = prior_s * np.exp(moved[0] + moved[1:])
    for (text, _), work, time_s in zip(STATEMENTS, works, told_s, strict=True):
        rows.append({"text": text, "measured_s": float(time_s), "ratio": float(work @ seconds / time_s)})
    return {
        "seconds": dict(zip(KINDS, seconds.tolist(), strict=True)),
        "spread": dict(zip(KINDS, np.sqrt(np.diag(unsure)[1:]).tolist(), strict=True)), "rows": rows,
    }  # fmt: skip


def _switched(stage: Stage, names: tuple[str, ...], to: str) -> None:
    for name in (*names, *ALWAYS_OFF):
        stage.connection.execute("select set_config(%s, %s, false)", (name, to))


def _tables(stage: Stage) -> dict[tuple[str, str], Table]:
    found = stage.connection.execute(
        "select relname, reltuples::float8, pg_relation_size(oid)::bigint from pg_class"
        " where relname in ('narrow', 'wide', 'small')"
    ).fetchall()
    return {("public", name): Table("public", name, rows, size_bytes, (), ()) for name, rows, size_bytes in found}

"""
Ask a server for the plan of one statement; with --analyze have it run, where that can do no harm.

In        a DSN, the text of a statement, values for its parameters if there are any
Out       Planned; or StatementRefused, DatabaseRefused with the reason
Not here  what the plan says (steps/explain), what would change it (moves/remedies.py)

EXPLAIN ANALYZE runs the statement.  So it is asked for a SELECT only that calls nothing volatile and locks no rows, in
a READ ONLY transaction with a time-out, which is rolled back.  What it calls is looked up by name, in its text, its
plan and the views that it reads: a name that any volatile function bears is enough to refuse.
Values are handed over as parameters, and are kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import pq, sql

from rung.adapters.postgres import GENERIC_PLAN_SINCE, first_line, looking
from rung.errors import StatementRefused
from rung.steps.explain.questions import Planned
from rung.units import show_bytes, show_seconds

Connection = psycopg.Connection[tuple[Any, ...]]

TEXT_BYTES_MAX = 8 * 1024 * 1024
SERIALIZE_SINCE = 170000
OPTIONS = b"VERBOSE, SETTINGS, FORMAT JSON"
PREPARED = "rung_explained"
# What PostgreSQL has plans for; everything else is done as it is said.
PLANNED = ("select", "with", "values", "table", "insert", "update", "delete", "merge")
READS = ("select", "with", "values", "table")

FACTS = """
select current_setting('server_version'), pg_size_bytes(current_setting('work_mem')),
       coalesce(current_setting('hash_mem_multiplier', true), '1')::float8, pg_is_in_recovery()
"""
VIEWS = """
select pg_get_viewdef(c.oid)
from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
where l.pid = pg_backend_pid() and l.locktype = 'relation' and c.relkind = 'v' and n.nspname <> 'pg_catalog'
  and l.database = (select oid from pg_database where datname = current_database())
"""
VOLATILE = """
select proname::text from pg_proc where provolatile = 'v' and proname = any(%(names)s)
union
select o.oprname::text from pg_operator o join pg_proc p on p.oid = o.oprcode
where p.provolatile = 'v' and o.oprname = any(%(operators)s)
order by 1
"""

_COMMENT = re.compile(r"--[^\r\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_CALLED = re.compile(r'(?:"((?:[^"]|"")+)"|([^\W\d][\w$]*))\s*\(')
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")


def read_plan(
    dsn: str, statement: str, *, values: Sequence[str] = (), analyze: bool = False, timeout_s: float = 10.0
) -> Planned:
    """
    Return the plan of *statement*: for *values* where there are any, else with its parameters unknown.

    Args:
        analyze: Run it, and measure.
        timeout_s: For how long it may run.

    Raises:
        StatementRefused: the server cannot plan it as it stands, or it may not be run.
        DatabaseRefused: the server cannot be reached, or went away in the middle.
    """
    text = _text_of(statement)
    with looking(dsn) as connection:
        try:
            return _planned(connection, text, values, analyze=analyze, timeout_s=timeout_s)
        except psycopg.Error as problem:
            refusal = _refusal(problem, timeout_s=timeout_s, analyze=analyze)
            if refusal is None:
                raise
            raise refusal from None


def _text_of(statement: str) -> bytes:
    """
    Return the text as it is sent, once it can be one statement that has a plan.
    """
    try:
        text = statement.encode()
    except UnicodeEncodeError:
        raise _refused("it is not UTF-8", why="Nothing was sent.") from None
    if len(text) > TEXT_BYTES_MAX:
        raise _refused(
            f"it has {show_bytes(len(text))}, and {show_bytes(TEXT_BYTES_MAX)} are read",
            why="A plan of such a statement would be read by nobody. Long lists of values fold to = ANY($1).",
        )
    if "\0" in statement:
        raise _refused("it holds a NUL", why="PostgreSQL takes no text with one in it.")
    word = first_word(statement)
    if not word:
        raise _refused("there is none", why="What was given is empty, or a comment.")
    if word == "explain":
        raise _refused(
            "it begins with EXPLAIN",
            why="rung asks for the plan itself; the statement alone is enough.",
            steps=(("Leave EXPLAIN away, and for measured times", "rung explain 'SELECT 1' --analyze"),),
        )
    if word not in PLANNED:
        raise _refused(
            f"{word.upper()[:20]} has no plan",
            why=f"PostgreSQL plans {', '.join(each.upper() for each in PLANNED)} only.",
        )
    return text


def first_word(statement: str) -> str:
    """
    Return the word that a statement begins with, comments and parentheses left out, in lower case.

    >>> first_word("/* page */ (SELECT 1)")
    'select'
    """
    found = re.match(r"[\s(]*([^\W\d]\w*)", _COMMENT.sub(" ", statement))
    return found[1].lower() if found else ""


def _planned(connection: Connection, text: bytes, values: Sequence[str], *, analyze: bool, timeout_s: float) -> Planned:
    facts = connection.execute(FACTS).fetchone()
    assert facts is not None
    version = connection.info.server_version
    count = _parameters(connection, text)
    if len(values) != count and (values or analyze):
        raise _miscounted(count, len(values))
    generic = count > 0 and not values
    if generic:
        document = _generic(connection, text, count, version)
    else:
        document = _explained(connection, b"EXPLAIN (" + OPTIONS + b") " + text, values)
    if analyze:
        _refuse_harmful(connection, text.decode(), document)
        connection.execute("select set_config('statement_timeout', %s, true)", (f"{timeout_s:.3f}s",))
        options = b"ANALYZE, BUFFERS, " + (b"SERIALIZE TEXT, " if version >= SERIALIZE_SINCE else b"") + OPTIONS
        document = _explained(connection, b"EXPLAIN (" + options + b") " + text, values)
    return Planned(
        document=document, version=str(facts[0]).split()[0], version_number=version, generic=generic,
        work_memory_bytes=facts[1], hash_factor=facts[2], standby=facts[3],
    )  # fmt: skip


def _parameters(connection: Connection, text: bytes) -> int:
    """
    Return how many parameters the statement has.  The extended protocol refuses more than one statement.
    """
    prepared = connection.pgconn.prepare(b"", text)
    _refuse_failed(connection, prepared)
    described = connection.pgconn.describe_prepared(b"")
    _refuse_failed(connection, described)
    return described.nparams


def _refuse_failed(connection: Connection, result: pq.abc.PGresult) -> None:
    if result.status == pq.ExecStatus.COMMAND_OK:
        return
    if connection.pgconn.status == pq.ConnStatus.BAD:
        raise psycopg.OperationalError("the server closed the connection")
    raise psycopg.errors.error_from_result(result)


def _generic(connection: Connection, text: bytes, count: int, version: int) -> Mapping[str, Any]:
    if version >= GENERIC_PLAN_SINCE:
        return _explained(connection, b"EXPLAIN (GENERIC_PLAN, " + OPTIONS + b") " + text, ())
    # Before, a prepared statement that is made to forget its values gives the same plan.
    connection.execute("set local plan_cache_mode = force_generic_plan")
    _refuse_failed(connection, connection.pgconn.prepare(PREPARED.encode(), text))
    asked = sql.SQL("EXPLAIN ({}) EXECUTE {} ({})").format(
        sql.SQL("VERBOSE, SETTINGS, FORMAT JSON"),
        sql.Identifier(PREPARED),
        sql.SQL(", ").join([sql.SQL("NULL")] * count),
    )
    document = _explained(connection, asked, ())
    connection.execute(sql.SQL("deallocate {}").format(sql.Identifier(PREPARED)))
    settings = {name: value for name, value in document.get("Settings", {}).items() if name != "plan_cache_mode"}
    return {**document, "Settings": settings}


def _explained(connection: Connection, asked: bytes | sql.Composed, values: Sequence[str]) -> Mapping[str, Any]:
    # A raw cursor takes $1 as it stands; without values the simple protocol leaves it unbound.
    row = psycopg.RawCursor(connection).execute(asked, list(values) or None).fetchone()
    assert row is not None
    document: Mapping[str, Any] = row[0][0]
    return document


def _miscounted(wanted: int, given: int) -> StatementRefused:
    flags = " ".join(f"--param VALUE{number}" for number in range(1, min(wanted, 4) + 1))
    many = " and so on" if wanted > 4 else ""
    return _refused(
        f"it has {wanted or 'no'} parameter{'s' if wanted != 1 else ''}, and {given or 'no'} "
        f"value{'s' if given != 1 else ''} {'was' if given == 1 else 'were'} given",
        why="To run it each $n needs its value, in order; they are kept nowhere. Without --analyze none is needed.",
        steps=((f"Give them in order{many}", f"rung explain STATEMENT --analyze {flags}".rstrip()),),
    )


def _refuse_harmful(connection: Connection, text: str, document: Mapping[str, Any]) -> None:
    """
    Refuse to run what could change anything, or hold up others.
    """
    bare = _QUOTED.sub(" ", _COMMENT.sub(" ", text))
    if first_word(text) not in READS or re.search(r"\binto\b", bare, re.IGNORECASE):
        raise _unrun("it is no plain SELECT")
    kinds = {str(node["Node Type"]) for node in _nodes(document["Plan"])}
    if "ModifyTable" in kinds:
        raise _unrun("it writes")
    if "LockRows" in kinds:
        raise _unrun("it locks the rows that it reads (FOR UPDATE, FOR SHARE)")
    views = [str(row[0]) for row in connection.execute(VIEWS).fetchall()]
    words = " ".join([text, _COMMENT.sub(" ", text), *views, *_strings(document["Plan"])])
    names = {quoted.replace('""', '"') if quoted else bare.lower() for quoted, bare in _CALLED.findall(words)}
    found = connection.execute(
        VOLATILE, {"names": sorted(names), "operators": sorted(set(_OPERATOR.findall(words)))}
    ).fetchall()
    if found:
        called = ", ".join(str(row[0]) for row in found[:3])
        raise _unrun(f"it calls what may change something or differ each time: {called} (volatile)")


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    left = [plan]
    while left:
        node = left.pop()
        yield node
        left += node.get("Plans", ())


def _strings(plan: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(plan):
        for name, value in node.items():
            if name in {"Plans", "Workers"}:
                continue
            yield from (str(each) for each in (value if isinstance(value, list) else [value]))


def _unrun(problem: str) -> StatementRefused:
    return StatementRefused(
        f"this statement is not run: {problem}",
        why="With --analyze the server executes it: only a SELECT that calls nothing volatile and locks nothing.",
        steps=(("See its plan without running it", "rung explain STATEMENT"),),
    )


def _refused(problem: str, *, why: str, steps: Sequence[tuple[str, str]] = ()) -> StatementRefused:
    return StatementRefused(f"this statement cannot be explained: {problem}", why=why, steps=steps)


SCHEMA_STEP = (
    "If it lies in another schema, or database",
    "rung explain STATEMENT --database 'postgresql://you@localhost/yourdb?options=-csearch_path%3Dapp'",
)
# By the beginning of PostgreSQL's code (its documentation, appendix A): why it matters, and what to do.
REASONS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("42P01", "A table that was dropped or renamed has no plan any more.", (SCHEMA_STEP,)),
    ("3F000", "A schema that is not there has no tables to plan for.", (SCHEMA_STEP,)),
    (
        "42501", "A plan is shown to roles only that may read all of its tables.",
        (("See what this role lacks, and the GRANT for it", "rung doctor --database postgresql://you@localhost/yourdb"),),
    ),
    (
        "42P18", "With a value unknown PostgreSQL must know its type all the same: write it as $1::integer.",
        (("Or give a value", "rung explain STATEMENT --param VALUE"),),
    ),
    (
        "55P03", "Somebody holds a lock on one of its tables, and rung waits half a second at most.",
        (("Look who, then try again", 'psql -c "select pid, application_name, state from pg_stat_activity"'),),
    ),
    ("25006", "rung runs statements in a READ ONLY transaction, where this is not allowed.", ()),
    ("54", "It is larger or nested deeper than the server takes (max_stack_depth bears on it).", ()),
    ("40001", "This is a standby, and what it replays got in the way. The primary does not have that.", ()),
    ("42", "The server's own words are all that is known.", ()),
    ("22", "A value does not fit the type that is expected in its place.", ()),
)  # fmt: skip


def _refusal(problem: psycopg.Error, *, timeout_s: float, analyze: bool) -> StatementRefused | None:
    """
    Return what the server's refusal means; None where it is not about this statement.
    """
    state, said = problem.sqlstate or "", problem.diag.message_primary or first_line(problem)
    if state == "57014":
        what = f"it had not ended after {show_seconds(timeout_s)}" if analyze else "planning it took too long"
        return _refused(
            f"{what}, and was cancelled", why="Nothing is left behind; its plan can be seen without running it.",
            steps=(
                ("Give it longer", "rung explain STATEMENT --analyze --timeout 60s"),
                ("See its plan without running it", "rung explain STATEMENT"),
            )[0 if analyze else 1 :],
        )  # fmt: skip
    if state == "42601" and "multiple commands" in said:
        return _refused("there are several statements", why="A plan is that of one statement; give them one by one.")
    for beginning, why, steps in REASONS:
        if state.startswith(beginning):
            return _refused(f"{said}{_place(problem)}", why=why, steps=steps)
    return None if isinstance(problem, psycopg.OperationalError) else _refused(said, why="The server's own words.")


def _place(problem: psycopg.Error) -> str:
    """
    Return where in the statement the server stumbled, "" where it does not say.
    """
    at = problem.diag.statement_position
    return f" (character {at})" if at else ""

"""
An app's dealings with values of its users: each canary is planted where its name says.

In        the file of canaries and the addresses in the environment
Out       statements, calls, files, jobs and errors full of values
Not here  requests (private_fastapi.py, private_django.py, private_flask.py), the search (canaries.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import smtplib
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import dramatiq
import httpx
import jinja2
import psycopg
import psycopg2
import psycopg2.extras
import redis
import requests
import sqlalchemy
import structlog
from botocore.exceptions import ClientError
from celery import Celery
from dogpile.cache import make_region
from dramatiq.brokers.redis import RedisBroker
from obstore.store import S3Store
from opentelemetry import propagate, trace
from psycopg import sql
from rq import Queue
from sqlalchemy.ext.asyncio import create_async_engine

SECRETS: dict[str, str] = json.loads(Path(os.environ["CANARIES"]).read_text("utf-8"))
DATABASE = os.environ["DATABASE_URL"]
WEB = os.environ["WEB_URL"]
SLOW = "SELECT id, number FROM people WHERE email = %s"

_held: list[psycopg.Connection] = []
_held_lock = threading.Lock()

log = logging.getLogger("private")
log.propagate = False
log.addHandler(logging.StreamHandler(io.StringIO()))
events = structlog.wrap_logger(structlog.WriteLogger(io.StringIO()))

celery = Celery("private", broker="memory://")
broker = RedisBroker(url=os.environ["REDIS_URL"])


class SecretiveError(Exception):
    """An error that tells everything."""

    def __repr__(self) -> str:
        return f"SecretiveError({SECRETS['error_message']})"


@celery.task(name="shop.reckon")
def reckon(secret: str) -> None:
    raise ValueError(f"{secret} and {SECRETS['job_error']}")


def begin() -> None:
    """Run a job by itself, as a worker does; an app calls it as it starts."""
    reckon.apply(args=[SECRETS["job_argument"]], kwargs={}, task_id=SECRETS["job_id"])


def fail() -> None:
    error = SecretiveError(SECRETS["error_message"])
    error.add_note(SECRETS["error_note"])
    raise error from ValueError(SECRETS["error_message"])


def careless(text: str) -> str:
    """Return a statement as a careless app puts it together: each <name> replaced by that value."""
    return re.sub(r"<(\w+)>", lambda match: SECRETS[match[1]], text)


def _inline(*names: str) -> str:
    return ", ".join(f"'{SECRETS[name]}'" for name in names)


def with_psycopg() -> None:
    with psycopg.connect(DATABASE, autocommit=True) as connection:
        run = connection.execute
        run(f"/* {SECRETS['leading_comment']} */ {SLOW} -- {SECRETS['line_comment']}", [SECRETS["parameter"]])
        run("SELECT %s::bytea", [SECRETS["parameter_bytes"].encode()])
        run("SELECT %(number)s::bigint", {"number": int(SECRETS["number_parameter"])})
        run("SELECT %s::jsonb", [json.dumps({SECRETS["parameter_json"]: 1})])
        number, comment = SECRETS["number_literal"], SECRETS["block_comment"]
        run(f"SELECT {_inline('literal')}, {number}, -{number}.5e3 /* {comment} */")
        run(f"SELECT $a${SECRETS['dollar_quoted']}$a$, E'it\\'s {SECRETS['escaped']}', date '2026-01-01'")
        run(sql.SQL("SELECT {}").format(sql.Literal(SECRETS["composed"])))
        run(f"SELECT '{SECRETS['literal']}'".encode())
        run(f"SET app.who = {SECRETS['set_value']}")
        run(f"SET search_path TO {SECRETS['set_value']}, '{SECRETS['literal']}', public")
        run(f"LISTEN {SECRETS['channel']}")
        run(f"NOTIFY {SECRETS['channel']}, '{SECRETS['payload']}'")
        run(f'UNLISTEN "{SECRETS["channel"]}"')
        cursor = connection.cursor()
        cursor.executemany("SELECT %s::text", [[SECRETS["many"]], [SECRETS["many"]]])
        run("CREATE TEMPORARY TABLE held (value text UNIQUE)")
        with cursor.copy("COPY held FROM STDIN") as copy:
            copy.write_row([SECRETS["copied"]])
        with cursor.copy(careless("COPY (SELECT '<copied>') TO STDOUT")) as copy:
            list(copy)
        for statement in (
            f"SELECT '{SECRETS['broken']}", f"SET ROLE {SECRETS['role']}",
            f'SET SESSION AUTHORIZATION "{SECRETS["role"]}"',
            f"INSERT INTO held VALUES ({_inline('copied')})", f"SELECT {_inline('database_error')}::int",
        ):  # fmt: skip
            with contextlib.suppress(psycopg.Error):
                run(statement)


async def with_psycopg_async() -> None:
    async with await psycopg.AsyncConnection.connect(DATABASE) as connection:
        await connection.execute(SLOW, [SECRETS["parameter"]])
        await connection.execute(careless("SELECT '<literal>'"))
        with contextlib.suppress(psycopg.Error):
            await connection.execute("SELECT %s::int", [SECRETS["database_error"]])


def with_psycopg2() -> None:
    connection = psycopg2.connect(DATABASE)
    try:
        with connection.cursor() as cursor:
            cursor.execute(SLOW, [SECRETS["parameter"]])
            cursor.execute(
                cursor.mogrify(
                    "SELECT %s, %s", [SECRETS["mogrified"], psycopg2.Binary(b"\\x'" + SECRETS["mogrified"].encode())]
                )
            )
            cursor.execute("CREATE TEMPORARY TABLE held (value text, number bigint)")
            rows = [(SECRETS["spread"], int(SECRETS["number_parameter"])), ("it's \\' " + SECRETS["spread"], 2)]
            psycopg2.extras.execute_values(cursor, "INSERT INTO held VALUES %s", rows)
            cursor.callproc("upper", [SECRETS["called"]])
            cursor.copy_expert("COPY held FROM STDIN", io.StringIO(f"{SECRETS['copied']}\t1\n"))
            cursor.copy_from(io.StringIO(f"{SECRETS['copied']}\t1\n"), "held")
            cursor.executemany("SELECT %s", [[SECRETS["many"]]])
            cursor.execute("SELECT %(a)s", {"a": [SECRETS["parameter"], SECRETS["parameter_json"]]})
            with contextlib.suppress(psycopg2.Error):
                cursor.execute(careless("SELECT '<database_error>'::int"))
    finally:
        connection.close()


async def with_asyncpg() -> None:
    connection = await asyncpg.connect(DATABASE)
    try:
        await connection.fetch("SELECT $1::text, $2::bigint", SECRETS["parameter"], int(SECRETS["number_parameter"]))
        await connection.execute(careless("SELECT '<literal>' -- <line_comment>"))
        await connection.copy_from_query("SELECT $1::text", SECRETS["copied"], output=io.BytesIO())
        await connection.execute("CREATE TEMPORARY TABLE held (value text)")
        await connection.copy_records_to_table("held", records=[(SECRETS["copied"],)])
        await connection.executemany("INSERT INTO held VALUES ($1)", [(SECRETS["many"],)])
        statement = await connection.prepare("SELECT $1::text")
        await statement.fetch(SECRETS["prepared"])
        async with connection.transaction():
            async for _ in connection.cursor("SELECT $1::text", SECRETS["prepared"]):
                pass
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute(careless("SELECT '<database_error>'::int"))
        with contextlib.suppress(asyncpg.DataError):
            await connection.fetch("SELECT $1::int", SECRETS["database_error"])
    finally:
        await connection.close()


def _asked() -> list[Any]:
    column = sqlalchemy.table("people", sqlalchemy.column("email")).c.email
    asked = sqlalchemy.select(column).where(column == SECRETS["bound"])
    whole = asked.where(column != SECRETS["rendered_literal"]).compile(compile_kwargs={"literal_binds": True})
    bound = sqlalchemy.text("SELECT :bound WHERE 'x' <> '" + SECRETS["literal"] + "'").bindparams(
        bound=SECRETS["bound"]
    )
    return [asked, bound, sqlalchemy.text(str(whole))]


def with_sqlalchemy() -> None:
    for driver in ("psycopg", "psycopg2"):
        engine = sqlalchemy.create_engine(DATABASE.replace("postgresql://", f"postgresql+{driver}://"))
        with engine.begin() as connection:
            for asked in _asked():
                connection.execute(asked)
        engine.dispose()


async def with_sqlalchemy_async() -> None:
    engine = create_async_engine(DATABASE.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        for asked in _asked():
            await connection.execute(asked)
    await engine.dispose()


def elsewhere() -> None:
    """Files, templates, logs, caches, other services, mail and jobs."""
    page = jinja2.Environment(loader=jinja2.DictLoader({SECRETS["template_name"]: "{{ it }}"}))  # noqa: S701 - no page
    page.get_template(SECRETS["template_name"]).render(it=SECRETS["template_value"])
    "".join(page.get_template(SECRETS["template_name"]).generate(it=SECRETS["template_value"]))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / SECRETS["file_name"]).write_text(SECRETS["written"])
        with open(f"{folder}/{SECRETS['file_name']}2", "w") as file:  # noqa: PTH123 - as apps do
            file.write(SECRETS["written"])
        with tempfile.NamedTemporaryFile(prefix=SECRETS["temporary_name"], dir=folder):
            pass
        with contextlib.suppress(OSError):
            open(f"{folder}/none/{SECRETS['file_name']}", "w")  # noqa: PTH123, SIM115 - it is not there
    log.warning("who: %s", SECRETS["log"], extra={"who": SECRETS["log"], SECRETS["log_extra"]: 1})
    log.warning(f"who: {SECRETS['log_built']}")  # noqa: G004 - as people write it
    log.warning(SECRETS["log_built"])
    events.bind(who=SECRETS["event_value"]).warning("seen", **{SECRETS["event_value"]: SECRETS["event_value"]})
    events.warning(f"who: {SECRETS['event_built']}")
    try:
        raise SecretiveError(SECRETS["log_error"])
    except SecretiveError:
        log.exception("of %s", SECRETS["log"])
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as cache:
        cache.set(SECRETS["cache_key"], SECRETS["cache_value"])
        cache.get(f"{SECRETS['cache_key']}:{SECRETS['number_cache']}")
        with contextlib.suppress(redis.ResponseError):
            cache.execute_command("INCR", SECRETS["cache_key"])
        cache.pipeline().set(SECRETS["cache_key"], SECRETS["number_cache"]).execute()
    url = f"{WEB}/{SECRETS['url_path']}?q={SECRETS['url_query']}"
    headers = {"X-Secret": SECRETS["url_header"]}
    httpx.post(url, content=SECRETS["url_body"], headers=headers)
    requests.post(url, data={"it": SECRETS["url_body"]}, headers=headers, timeout=30)
    with urllib.request.urlopen(url) as response:
        response.read()
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"http://{SECRETS['url_host']}.invalid/")
    with contextlib.suppress(OSError):
        smtplib.SMTP("127.0.0.1", 1, local_hostname=SECRETS["mail"])
    celery.send_task(
        "shop.reckon",
        args=[SECRETS["job_argument"]],
        kwargs={"who": SECRETS["job_name_argument"]},
        task_id=SECRETS["job_id"],
    )
    reckon.apply(args=[SECRETS["job_argument"]])


def queued_by_rq(secret: str) -> None:
    """A job that nobody runs."""


@dramatiq.actor(broker=broker)
def queued_by_dramatiq(secret: str) -> None:
    """A job that nobody runs."""


def stored() -> None:
    """Object stores, regions of a cache, and other queues."""
    bucket, key = SECRETS["bucket"], SECRETS["object_key"]
    account = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_URL"], **account)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=SECRETS["object_body"].encode())
    s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with contextlib.suppress(ClientError):
        s3.get_object(Bucket=bucket, Key=SECRETS["object_missing"])
    store = S3Store(
        bucket, endpoint=os.environ["AWS_URL"], access_key_id="none", secret_access_key="none", region="us-east-1",
        client_options={"allow_http": True}, virtual_hosted_style_request=False,
    )  # fmt: skip
    store.put(key, SECRETS["object_body"].encode())
    with contextlib.suppress(FileNotFoundError):
        store.get(SECRETS["object_missing"])
    region = make_region().configure("dogpile.cache.redis", arguments={"url": os.environ["REDIS_URL"]})
    region.get_or_create(SECRETS["region_key"], lambda: SECRETS["region_value"])
    queue = Queue(SECRETS["region_key"], connection=redis.Redis.from_url(os.environ["REDIS_URL"]))
    queue.enqueue(queued_by_rq, SECRETS["job_argument"], description=SECRETS["job_argument"])
    queued_by_dramatiq.send(SECRETS["job_argument"])


def with_opentelemetry() -> None:
    """Spans that carry values in everything but their names, and in those what looks like one."""
    tracer = trace.get_tracer(__name__)
    told = {
        "db.system.name": "postgresql", "db.query.text": careless("SELECT '<span_statement>', <number_literal>"),
        "enduser.id": SECRETS["span_attribute"], "http.route": f"/{SECRETS['span_attribute']}",
        "db.operation.parameter.0": SECRETS["span_attribute"], "exception.message": SECRETS["span_error"],
    }  # fmt: skip
    others = (
        told | {"db.system.name": "mysql"},
        {"http.request.method": SECRETS["method"], "url.full": f"{WEB}/?{SECRETS['span_attribute']}"},
        {"messaging.message.id": SECRETS["span_attribute"], "messaging.destination.name": SECRETS["span_attribute"]},
    )
    parent = {"traceparent": f"00-{1:032x}-{2:016x}-01", "tracestate": f"rung={SECRETS['span_state']}"}
    context = propagate.extract(parent)
    for kind in trace.SpanKind:
        for attributes in (told, *others):
            number, mail = SECRETS["number_path"], SECRETS["span_name_mail"]
            name = f"mail {mail}@example.org order {number} of '{mail}'"
            with (
                contextlib.suppress(SecretiveError),
                tracer.start_as_current_span(name, context=context, kind=kind, attributes=attributes) as span,
            ):
                span.add_event(SECRETS["span_event"], {"it": SECRETS["span_event"]})
                linked = trace.SpanContext(3, 4, False, trace_state=trace.TraceState([("a", SECRETS["span_link"])]))
                span.add_link(linked, {"it": SECRETS["span_link"]})
                span.set_status(trace.Status(trace.StatusCode.ERROR, SECRETS["span_status"]))
                raise SecretiveError(SECRETS["span_error"])


def sync_work() -> None:
    """Everything that needs no event loop, in a thread and outside of one."""
    with_psycopg()
    with_psycopg2()
    with_sqlalchemy()
    thread = threading.Thread(target=elsewhere, name=SECRETS["thread_name"])
    thread.start()
    thread.join()
    elsewhere()
    stored()
    with_opentelemetry()


async def async_work() -> None:
    """Everything that needs one."""
    await with_psycopg_async()
    await asyncio.create_task(with_asyncpg(), name=SECRETS["task_name"])
    await with_sqlalchemy_async()
    with_opentelemetry()


def slow(email: str) -> int:
    """Ask what has no index, on a connection that stays: opening one is not to be what is slow."""
    with _held_lock:
        if not _held:
            _held.append(psycopg.connect(DATABASE, autocommit=True))
        found = _held[0].execute(SLOW, [email]).fetchall()
        _held[0].execute("SELECT number FROM people WHERE id = %s", [1]).fetchall()
        return len(found)

"""
Which libraries an instrument knows, and with which of their versions it was tested: the one place that says so.

In        versions of libraries, as an environment has them or a recording says
Out       what is known of each
Not here  the instruments (probe/instruments/), the versions themselves (constraints.txt, from which a test holds this)

A version is tested when it has the same first two parts as one in the table, close when it has the same first part,
and untested otherwise.  Instruments look inside what they instrument, so a new major version may lack what they hold
on to: such a library goes unrecorded, the app runs as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TESTED, CLOSE, UNTESTED, UNKNOWN = "tested", "close", "untested", "unknown"


@dataclass(frozen=True, slots=True)
class Library:
    """
    A library that an instrument knows.

    Attributes:
        name: The distribution, in lower case with dashes.
        module: What it is imported as, which a recording names it by.
        instrument: The file in probe/instruments that knows it; empty for one that is only told of (servers).
        tested: The versions that it was tested with, oldest first.
    """

    name: str
    module: str
    instrument: str
    tested: tuple[str, ...]


LIBRARIES = (
    Library("fastapi", "fastapi", "starlette", ("0.165",)),
    Library("starlette", "starlette", "starlette", ("1.10",)),
    Library("litestar", "litestar", "litestar", ("2.25",)),
    Library("django", "django", "django", ("5.2",)),
    Library("flask", "flask", "flask", ("3.1",)),
    Library("celery", "celery", "jobs", ("5.7",)),
    Library("rq", "rq", "rq", ("3.0",)),
    Library("dramatiq", "dramatiq", "dramatiq", ("2.2",)),
    Library("procrastinate", "procrastinate", "procrastinate", ("3.10",)),
    Library("pgqueuer", "pgqueuer", "pgqueuer", ("1.6",)),
    Library("uvicorn", "uvicorn", "uvicorn", ("0.54",)),
    Library("granian", "granian", "granian", ("2.8",)),
    Library("gunicorn", "gunicorn", "", ("27.0",)),
    Library("uvicorn-worker", "uvicorn_worker", "", ("0.4",)),
    Library("uvloop", "uvloop", "tasks", ("0.23",)),
    Library("httptools", "httptools", "", ("0.9",)),
    Library("asgiref", "asgiref", "asgiref", ("3.13",)),
    Library("anyio", "anyio", "threads", ("4.16",)),
    Library("sqlalchemy", "sqlalchemy", "sqlalchemy", ("2.1",)),
    Library("asyncpg", "asyncpg", "asyncpg", ("0.32",)),
    Library("psycopg", "psycopg", "psycopg", ("3.3",)),
    Library("psycopg-pool", "psycopg_pool", "psycopg_pool", ("3.3",)),
    Library("psycopg2", "psycopg2", "psycopg2", ("2.9",)),
    Library("psycopg2-binary", "psycopg2", "psycopg2", ("2.9",)),
    Library("redis", "redis", "redis", ("8.1",)),
    Library("httpx", "httpx", "httpx", ("0.28",)),
    Library("requests", "requests", "urllib3", ("2.34",)),
    Library("urllib3", "urllib3", "urllib3", ("2.8",)),
    Library("aiohttp", "aiohttp", "aiohttp", ("3.14",)),
    Library("boto3", "boto3", "botocore", ("1.44",)),
    Library("botocore", "botocore", "botocore", ("1.44",)),
    Library("obstore", "obstore", "obstore", ("0.12",)),
    Library("dogpile-cache", "dogpile", "caches", ("1.5",)),
    Library("structlog", "structlog", "structlog", ("26.1",)),
    Library("jinja2", "jinja2", "templates", ("3.1",)),
    Library("opentelemetry-api", "opentelemetry", "opentelemetry", ("1.45",)),
)

# Widely used for what a request waits on or is served by, and known to no instrument.
WITHOUT = frozenset({
    "aiokafka", "aiomysql", "aiopg", "aiosqlite", "aiobotocore", "bottle", "confluent-kafka", "elasticsearch",
    "falcon", "google-cloud-storage", "grpcio", "kafka-python", "motor", "mysqlclient", "opensearch-py",
    "oracledb", "pg8000", "pika", "pymemcache", "pymongo", "pymysql", "pyramid", "quart", "sanic", "tornado",
})  # fmt: skip

# Whatever else looks into the same process.
OTHER_RECORDERS = {
    "ddtrace": "Datadog",
    "newrelic": "New Relic",
    "elastic-apm": "Elastic APM",
    "scout-apm": "Scout",
    "sentry-sdk": "Sentry",
    "opentelemetry-sdk": "OpenTelemetry",
    "logfire": "Logfire",
    "pyinstrument": "pyinstrument",
}

_BY_NAME = {library.name: library for library in LIBRARIES}
_BY_MODULE = {library.module: library for library in LIBRARIES}


def library(name: str) -> Library | None:
    """
    Return the library of that distribution or module, None where no instrument knows it.
    """
    return _BY_NAME.get(name) or _BY_MODULE.get(name)


def state_of(name: str, version: str) -> str:
    """
    Return how well *version* of a library is known.

    >>> state_of("django", "5.2.7"), state_of("django", "5.1"), state_of("django", "7.0"), state_of("falcon", "4.0")
    ('tested', 'close', 'untested', 'unknown')
    """
    known = library(name)
    if known is None:
        return UNKNOWN
    if _parts(version, 2) in {_parts(tested, 2) for tested in known.tested}:
        return TESTED
    return CLOSE if _parts(version, 1) in {_parts(tested, 1) for tested in known.tested} else UNTESTED


def untested(libraries: Mapping[str, str]) -> list[str]:
    """
    Return the libraries of which no instrument was tested with this version or its like, for people.

    >>> untested({"django": "7.0", "uvicorn": "0.54.0"})
    ['django 7.0 (tested: 5.2)']
    """
    return [
        f"{name} {version} (tested: {', '.join(_tested(name))})"
        for name, version in sorted(libraries.items())
        if state_of(name, version) == UNTESTED
    ]


def _tested(name: str) -> tuple[str, ...]:
    known = library(name)
    return known.tested if known is not None else ()


def _parts(version: str, count: int) -> tuple[str, ...]:
    return tuple(version.split(".")[:count])

"""
Every setting of rung: one table from which rung.toml, environment, errors and the reference page come.

In        the text of a rung.toml, the environment, what was given on the command line
Out       one frozen Settings, in seconds and plain fractions, and where each value came from
Not here  reading the file or the environment (wire.py hands both in), the DSN's own parts (adapters/postgres.py)
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rung.errors import BadFile, BadValue, UnknownName
from rung.units import UnitError, seconds, share, size_bytes

FILE_NAME = "rung.toml"
# How `rung take` writes migrations.
AUTO, SQL, ALEMBIC, DJANGO = "auto", "sql", "alembic", "django"
# How a place in an object store begins.
PREFIXES = ("s3://", "gs://", "az://", "file:///")
# For a setting that has a usual value; what is empty is off.
ON, OFF = "on", "off"
# Where OpenTelemetry's exporters for Prometheus listen by default, for nobody but this machine.
METRICS_HOST, METRICS_PORT = "127.0.0.1", 9464


def _text(text: str) -> str:
    return text


def _percentile(text: str) -> int:
    return int(_number(text.removeprefix("p"), int, 50, 99))


def _factor(text: str) -> float:
    return _number(text, float, 1, 1000)


def _seed(text: str) -> int:
    return int(_number(text, int, 0, math.inf))


def _number(text: str, kind: Callable[[str], float], least: float, most: float) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise UnitError(f"{text!r} is not a number of the asked kind") from None
    if not least <= value <= most:
        raise UnitError(f"{text!r} is not within {least:g} and {most:g}")
    return value


def _format(text: str) -> str:
    if text not in {AUTO, SQL, ALEMBIC, DJANGO}:
        raise UnitError(f"{text!r} is no format of migrations")
    return text


def _yes_or_no(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise UnitError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _positive_seconds(text: str) -> float:
    value = seconds(text)
    if value <= 0:
        raise UnitError(f"{text!r} is not more than zero")
    return value


def _folder(text: str) -> str:
    if "://" in text:
        raise UnitError(f"{text!r} is no folder: fleet.prefix names an object store")
    return text


def _prefix(text: str) -> str:
    if text and not text.startswith(PREFIXES):
        raise UnitError(f"{text!r} is no prefix in an object store")
    return text.rstrip("/")


def _every_seconds(text: str) -> float:
    value = seconds(text)
    # Above it a host that is lost takes more with it than sending is there for.
    if not 1 <= value <= 3600:
        raise UnitError(f"{text!r} is not within 1s and 1h")
    return value


def _positive_bytes(text: str) -> int:
    value = size_bytes(text)
    if value <= 0:
        raise UnitError(f"{text!r} is not more than zero")
    return value


def _lock_seconds(text: str) -> float:
    value = seconds(text)
    # PostgreSQL is told whole seconds, and takes 0 for "wait for ever".
    if value < 1:
        raise UnitError(f"{text!r} is less than a second")
    return value


def _listen(text: str) -> str:
    if text in {"", OFF}:
        return ""
    host, _, port = (f"{METRICS_HOST}:{METRICS_PORT}" if text == ON else text).rpartition(":")
    _number(port, int, 0, 65535)
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UnitError(f"{text!r} has an address of IPv6 without brackets")
    return f"{host or METRICS_HOST}:{port}"


def otlp_endpoint(text: str) -> str:
    """
    Return the base address of a receiver without a slash at its end; empty for none, "on" as it is.

    Raises:
        UnitError: it is no address of that kind.
    """
    if text in {"", OFF}:
        return ""
    if text != ON and re.fullmatch(r"https?://[^/?#\s@]+(/[^?#\s]*)?", text) is None:
        raise UnitError(f"{text!r} is no http:// or https:// URL")
    return text.rstrip("/")


def _from_variable(text: str) -> str:
    if text and not text.startswith("env:"):
        raise UnitError("a secret that stands in a file")
    return text


def _samples(text: str) -> int:
    return int(_number(text, int, 0, 10_000))


def _share_of_all(text: str) -> float:
    value = share(text)
    if value > 1:
        raise UnitError(f"{text!r} is more than all of them")
    return value


def _setting(
    name: str, default: str, parse: Callable[[str], Any], *, expected: str, help: str, example: str = ""
) -> Any:
    told = {"name": name, "default": default, "parse": parse, "expected": expected, "help": help, "example": example}
    return field(default=parse(default), metadata=told)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What can be set.  Each field is one row of the table; times are in seconds and shares fractions of one.
    """

    folder: str = _setting(
        "folder",
        ".rung",
        _folder,
        expected="a folder (an object store is named by fleet.prefix)",
        help="Where recordings and the managed database live.",
    )
    goal_percentile: int = _setting(
        "goal.percentile",
        "95",
        _percentile,
        expected="a percentile from 50 to 99",
        help="The percentile of latency that the goal is about.",
    )
    goal_latency_s: float = _setting(
        "goal.latency",
        "300ms",
        _positive_seconds,
        expected="a time such as '300ms'",
        help="The latency that the percentile of each route must not exceed.",
    )
    goal_headroom: float = _setting(
        "goal.headroom",
        "2",
        _factor,
        expected="a factor of at least 1",
        help="By how much traffic may grow before the goal breaks.",
    )
    goal_errors_share: float = _setting(
        "goal.errors",
        "1 %",
        _share_of_all,
        expected="a share such as '1 %'",
        help="The share of requests that may fail (status 500 and above).",
    )
    database_url: str = _setting(
        "database.url",
        "",
        _text,
        expected="a postgresql:// URL or 'env:NAME'",
        example="env:DATABASE_URL",
        help="The app's database. `env:NAME` reads it from the variable NAME, so that no password stands in a file.",
    )
    database_disposable: bool = _setting(
        "database.disposable",
        "false",
        _yes_or_no,
        expected="true or false",
        help="Whether nothing in the app's database is worth keeping, so that `rung load --replay` may send writes.",
    )
    planner_dump: str = _setting(
        "planner.dump",
        "",
        _text,
        expected="a folder",
        example="planner-dump",
        help="Where a dump for the planner is, made by the script that `rung permissions --script` prints. "
        "Plans come from it then, and no database is asked.",
    )
    ledger_folder: str = _setting(
        "ledger.folder",
        "rung/ledger",
        _text,
        expected="a folder",
        help="Where the ledger's entries are kept, to be committed.",
    )
    migrations_folder: str = _setting(
        "migrations.folder",
        "rung/migrations",
        _text,
        expected="a folder",
        help="Where `rung take` writes plain SQL and its undo, and what to set.",
    )
    migrations_format: str = _setting(
        "migrations.format",
        AUTO,
        _format,
        expected="'auto', 'sql', 'alembic' or 'django'",
        help="How `rung take` writes an index: as the project does, or as SQL, Alembic revision, Django migration.",
    )
    index_lock_timeout_s: float = _setting(
        "index.lock_timeout",
        "5m",
        _lock_seconds,
        expected="a time such as '5m', at least a second",
        help="How long an index build may wait for a lock. Its waits block nobody, so minutes are right.",
    )
    index_old_transaction_s: float = _setting(
        "index.old_transaction",
        "10s",
        _positive_seconds,
        expected="a time such as '10s'",
        help="A transaction open for longer is named before an index build, which would have to wait for it.",
    )
    record_raw_bytes_max: int = _setting(
        "record.raw_bytes_max",
        "1 GB",
        _positive_bytes,
        expected="a size such as '1 GB'",
        help="What `rung record --raw` may write in one folder; what comes after is dropped and counted.",
    )
    record_rotate_s: float = _setting(
        "record.rotate",
        "1h",
        _positive_seconds,
        expected="a time such as '1h'",
        help="How long a recording of `rung collect` gets before it is sealed and the next one begins.",
    )
    retain_age_s: float = _setting(
        "retain.age",
        "14d",
        _positive_seconds,
        expected="a time such as '14d'",
        help="How long recordings stay. Older ones are removed when a new one is sealed, but not those in the ledger.",
    )
    retain_bytes: int = _setting(
        "retain.bytes",
        "2 GB",
        _positive_bytes,
        expected="a size such as '2 GB'",
        help="What all recordings may take together. The oldest are removed first, but not those in the ledger.",
    )
    load_duration_s: float = _setting(
        "load.duration",
        "30s",
        _positive_seconds,
        expected="a time such as '30s'",
        help="How long `rung load` sends requests.",
    )
    load_seed: int = _setting(
        "load.seed",
        "1",
        _seed,
        expected="a whole number from 0",
        help="The seed of the arrivals: the same seed sends the same requests at the same moments.",
    )
    fleet_prefix: str = _setting(
        "fleet.prefix",
        "",
        _prefix,
        expected="a URL such as 's3://bucket/prefix' (s3://, gs://, az:// or file:///)",
        example="s3://recordings/shop",
        help="Where recordings are sent as well, so that those of many hosts can be read together.",
    )
    fleet_every_s: float = _setting(
        "fleet.every",
        "30s",
        _every_seconds,
        expected="a time from '1s' to '1h'",
        help="How often what is being recorded is sent there: what a host that is lost takes with it.",
    )
    fleet_cache_bytes: int = _setting(
        "fleet.cache_bytes",
        "2 GB",
        _positive_bytes,
        expected="a size such as '2 GB'",
        help="What of the store `rung find URL` keeps in the folder, so that it is fetched once.",
    )
    metrics_listen: str = _setting(
        "metrics.listen",
        "",
        _listen,
        expected="'on', a port, or HOST:PORT",
        example="on",
        help="Where the collector serves metrics while it records: `on` is 127.0.0.1:9464; without it, nowhere. "
        "Whoever reaches the address reads them (docs/metrics.md).",
    )
    otlp_endpoint: str = _setting(
        "otlp.endpoint",
        "",
        otlp_endpoint,
        expected="'on', or an http:// or https:// URL",
        example="http://localhost:4318",
        help="The receiver that metrics, traces and logs are sent to while recording, by OTLP over HTTP; without it, "
        "nothing is sent. `on` takes OpenTelemetry's variables, OTEL_EXPORTER_OTLP_ENDPOINT and _HEADERS.",
    )
    otlp_headers: str = _setting(
        "otlp.headers",
        "",
        _from_variable,
        expected="'env:NAME'",
        example="env:OTLP_HEADERS",
        help="The variable with headers for the receiver, `name=value` with commas between: a key stands in no file.",
    )
    otlp_service: str = _setting(
        "otlp.service",
        "",
        _text,
        expected="a name",
        example="shop",
        help="What the service is called in metrics and traces; else OTEL_SERVICE_NAME, else the recording's name.",
    )
    otlp_samples: int = _setting(
        "otlp.samples",
        "10",
        _samples,
        expected="a whole number up to 10000",
        help="How many requests of each route a minute are sent as traces, drawn by chance, besides those that are "
        "slower than the goal or than 99 % of their route and those that failed.",
    )
    logs_file: str = _setting(
        "logs.file",
        "",
        _text,
        expected="a file",
        example="log/app.jsonl",
        help="A file to which the collector appends each line that the app logs, as JSON with the ids of its trace.",
    )
    sources: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str) -> str:
        """
        Return where the setting *name* came from: "default", a file, a variable or a flag.
        """
        return self.sources.get(name, "default")


TABLE: Mapping[str, dataclasses.Field[Any]] = {
    row.metadata["name"]: row for row in dataclasses.fields(Settings) if row.metadata
}


def variable(name: str) -> str:
    """
    Return the environment variable of the setting *name*.

    >>> variable("goal.latency")
    'RUNG_GOAL_LATENCY'
    """
    return "RUNG_" + name.replace(".", "_").upper()


def settle(*, file_text: str | None, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """
    Return the settings in force: flags over environment over file over defaults.

    Args:
        file_text: The text of rung.toml, None when there is none.
        environ: The process's environment.
        flags: Setting names with the text given on the command line, None where it was not given.

    Raises:
        BadFile: the file is not TOML.
        UnknownName: the file has a key that does not exist.
        BadValue: a value has the wrong kind or unit; the message says where it stood.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    given = [(name, value, FILE_NAME) for name, value in _file_rows(file_text)]
    given += [(name, environ[variable(name)], variable(name)) for name in TABLE if variable(name) in environ]
    given += [(name, value, "--" + name.rsplit(".", 1)[-1]) for name, value in flags.items() if value is not None]
    for name, value, source in given:
        values[TABLE[name].name] = _parse(name, value, source)
        sources[name] = source
    return Settings(**values, sources=sources)


def _parse(name: str, value: object, source: str) -> Any:
    row = TABLE[name].metadata
    if isinstance(value, bool) and row["parse"] is _yes_or_no:
        return value
    fits = isinstance(value, str) or (row["parse"] not in {_text, _folder, _prefix} and isinstance(value, int | float))
    if isinstance(value, bool) or not fits:
        raise BadValue(name, value, expected=row["expected"], where=source)
    try:
        # A number from TOML is parsed as if it had been typed, without an exponent.
        return row["parse"](value if isinstance(value, str) else f"{Decimal(str(value)):f}")
    except UnitError:
        raise BadValue(name, value, expected=row["expected"], where=source) from None


def _file_rows(text: str | None) -> list[tuple[str, object]]:
    if text is None:
        return []
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise BadFile(FILE_NAME, str(problem)) from None
    rows: list[tuple[str, object]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            rows += [(f"{key}.{inner}", inner_value) for inner, inner_value in value.items()]
        else:
            rows.append((key, value))
    for name, _ in rows:
        if name not in TABLE:
            raise UnknownName("setting", name, known=tuple(TABLE), where=FILE_NAME)
    return rows

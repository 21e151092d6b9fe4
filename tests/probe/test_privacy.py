"""
No value of a user's leaves an app: planted wherever it has some, they are in nothing that rung writes or says.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import duckdb
import psycopg
import pytest
from psycopg import sql

from rung import frames
from tests.adapters.viewing import receiving
from tests.ports import free_port
from tests.probe import canaries
from tests.probe.outside import aws, redis_server, web_server
from tests.probe.rows import request
from tests.probe.running import gunicorn
from tests.probe.serving import HERE, PATIENCE_S, end, table, uvicorn, wait_listening

QUIET = ("--log-level", "critical", "--no-access-log")
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
ASKED = 70  # enough for a percentile


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with web_server() as url:
        yield url


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with aws() as url:
        yield url


@dataclass
class Project:
    """
    A folder in which somebody works with rung, and all that was said there.
    """

    folder: Path
    secrets: dict[str, str]
    environment: dict[str, str]
    said: list[tuple[str, bytes]] = field(default_factory=list)

    def rung(self, *arguments: str, status: int | None = 0, **environment: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "rung", *arguments], cwd=self.folder, env=self.environment | environment,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        self.said += [(f"rung {arguments[0]}, output", done.stdout), (f"rung {arguments[0]}, errors", done.stderr)]
        assert status is None or status == done.returncode, (arguments, done.stdout, done.stderr)
        return done.stdout

    @property
    def recording(self) -> Path:
        (found,) = (self.folder / ".rung" / "recordings").iterdir()
        return found

    @contextlib.contextmanager
    def recorded(self, command: list[str], port: int, *flags: str) -> Iterator[None]:
        """
        Run *command* below `rung record`, as a supervisor does it, until its recording is whole.
        """
        with (self.folder / "said.txt").open("w+b") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "rung", "record", *flags, "--", *command], cwd=self.folder,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                wait_listening(port, process)
                yield
                self.said += list(_processes_of(self.folder))
                # Whoever has the key of the digests could try all values.
                self.secrets |= _key_of(process.pid)
            finally:
                end(process)
            if "--raw" not in flags:
                self._wait_sealed()
            said.seek(0)
            self.said.append(("rung record", said.read()))

    def _wait_sealed(self) -> None:
        until = time.monotonic() + PATIENCE_S
        while not json.loads((self.recording / "recording.json").read_text("utf-8"))["sealed"]:
            assert time.monotonic() < until, "the recording was not sealed"
            time.sleep(0.05)

    def found(self) -> list[str]:
        return canaries.search([*canaries.everything_below(self.folder), *self.said], self.secrets)


def _processes_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """
    Yield what everybody on the host can read of the processes that run for *folder*, and rung's variables in them.
    """
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve() == folder.resolve():
                yield "arguments of a process", (process / "cmdline").read_bytes()
                variables = (process / "environ").read_bytes().split(b"\0")
                collects = b"rung.adapters.collector" in (process / "cmdline").read_bytes()
                # The collector is told the DSN and headers in these, which only its user can read.
                hidden = (b"RUNG_KEY=", b"RUNG_DATABASE=", b"RUNG_VIEWS=") if collects else (b"RUNG_KEY=",)
                told = [one for one in variables if one.startswith(b"RUNG_") and not one.startswith(hidden)]
                yield "variables of a process", b"\n".join(told)


def _key_of(pid: int) -> dict[str, str]:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (key,) = (one.partition(b"=")[2].decode() for one in variables if one.startswith(b"RUNG_KEY="))
    return {"key": key, "half of the key": key[:16]}


@pytest.fixture
def project(cluster, tmp_path: Path, web: str, cache: str, storage: str) -> Iterator[Project]:
    secrets = canaries.made()
    name = f"private_{uuid.uuid4().hex}"
    folder = tmp_path / "project"
    folder.mkdir()
    kept = tmp_path / "canaries.json"
    kept.write_text(json.dumps(secrets), "utf-8")
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        run, called = connection.execute, sql.Identifier(name)
        run(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(called, sql.Literal(secrets["password"])))
        run(sql.SQL("GRANT pg_monitor, pg_read_all_data TO {}").format(called))
        run(sql.SQL("CREATE DATABASE {} OWNER {}").format(called, called))
        host, port = connection.info.host, connection.info.port
    dsn = f"postgresql://{name}:{secrets['password']}@{host}:{port}/{name}"
    try:
        with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        with psycopg.connect(dsn, autocommit=True) as connection:
            _fill(connection, secrets)
        given = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "RUNG"))}
        around = {"DATABASE_URL": dsn, "CANARIES": str(kept), "WEB_URL": web, "REDIS_URL": cache}
        around["AWS_URL"] = storage
        yield Project(folder, secrets, given | around | {"PYTHONPATH": str(HERE)})
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(called))
            connection.execute(sql.SQL("DROP ROLE {}").format(called))


def _fill(connection: psycopg.Connection, secrets: dict[str, str]) -> None:
    """
    Make a table whose statistics hold values, as most common ones and as bounds of the histogram.
    """
    connection.execute("CREATE TABLE people (id bigserial PRIMARY KEY, email text, number bigint)")
    values = [secrets["common"], int(secrets["number_common"]), secrets["rare"]]
    connection.execute(
        "INSERT INTO people (email, number) SELECT CASE WHEN n %% 3 = 0 THEN %s ELSE md5(n::text) END, %s "
        "FROM generate_series(1, 30000) n UNION ALL SELECT 'zz' || %s || n, n FROM generate_series(1, 30) n",
        values,
    )
    connection.execute("ANALYZE people")
    row = connection.execute("SELECT most_common_vals::text FROM pg_stats WHERE attname = 'email'").fetchone()
    assert row is not None
    assert secrets["common"] in row[0]


def _ask(port: int, secrets: dict[str, str]) -> None:
    headers = {
        "X-Secret": secrets["header"], "Authorization": f"Bearer {secrets['authorization']}",
        "Cookie": f"theme={secrets['cookie']}; sessionid={secrets['session']}", "User-Agent": secrets["user_agent"],
        "Host": f"{secrets['host']}.example.org", "X-Request-Start": f"t={secrets['queue_header']}",
        "traceparent": f"00-{secrets['traceparent']}-01", "tracestate": f"v={secrets['tracestate']}",
    }  # fmt: skip
    query = f"?q={secrets['query']}"
    expected = {
        f"/task/{secrets['number_path']}{query}": 200, f"/work-in-thread/{secrets['number_path']}{query}": 200,
        "/boom": 500, f"/none/{quote(secrets['raw_path'])}{query}": 404, f"/people/{secrets['path']}": 200,
    }  # fmt: skip
    for path, status in expected.items():
        assert status == _status(port, "GET", path, None, headers), path
    assert 200 == _status(port, "POST", f"/echo{query}", secrets["body"], headers)
    _status(port, secrets["method"], "/echo", None, headers)
    for _ in range(ASKED):
        _status(port, "GET", f"/people/zz{secrets['rare']}1", None, headers)


def scraped(port: int, accept: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept})
        return connection.getresponse().read()
    finally:
        connection.close()


def _status(port: int, method: str, path: str, body: str | None, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _wait_texts(project: Project) -> None:
    """
    Wait until the collector has looked at the server's own account of the statements.
    """
    assert [row for row in table(project.recording, "statement_totals") if row["text"]], "no statement was sampled"
    assert table(project.recording, "databases")


SERVERS = {
    "fastapi": lambda port: uvicorn("private_fastapi:app", port, *QUIET),
    "litestar": lambda port: uvicorn("private_litestar:app", port, *QUIET),
    "django over wsgi": lambda port: gunicorn("private_django:wsgi", port, "--threads", "2"),
    "django over asgi": lambda port: uvicorn("private_django:asgi", port, "--lifespan", "off", *QUIET),
    "flask": lambda port: gunicorn("private_flask:app", port),
}


def _command(server: str, port: int) -> list[str]:
    command = SERVERS[server](port)
    return [{"error": "critical", "warning": "critical"}.get(word, word) for word in command]


def _is_full(recording: Path, server: str) -> None:
    """
    Check that the work was recorded at all, or finding nothing would say nothing.
    """
    requests = table(recording, "requests")
    routes = {row["route"] for row in requests}
    assert {"/task/{number}", "/work-in-thread/{number}", "/people/{email}", "/boom", "(unmatched)"} <= routes, routes
    assert "job:shop.reckon" in routes
    assert any((row["error"] or "").startswith("SecretiveError ") for row in requests)
    assert any((row["error"] or "").startswith("ValueError ") for row in requests if row["kind"] == "job")
    seams = {row["seam"] for row in table(recording, "segments")}
    assert {"query", "connect", "commit", "cache", "external", "file", "job", "threads"} <= seams, seams
    lines = table(recording, "lines")
    assert {"who: %s", "of %s", "seen", None} <= {row["template"] for row in lines}, lines
    assert any((row["error"] or "").startswith("SecretiveError ") for row in lines)
    names = {row["name"] for row in table(recording, "segments")}
    assert {"storage", "redis", "queued_by_dramatiq", "private_work.queued_by_rq"} <= names, names
    texts = [row["text"] for row in table(recording, "statements")]
    assert len(texts) >= 30, texts
    (process,) = table(recording, "processes")
    assert (0, "{}") == (process["failures"], process["failed_at"]), server


@pytest.mark.parametrize("server", SERVERS)
def test_no_value_leaves_the_app(project: Project, server: str) -> None:
    port, metrics = free_port(), free_port()
    with receiving() as receiver:
        # Everything that is recorded is told and sent.
        project.environment |= {
            "RUNG_METRICS_LISTEN": str(metrics), "RUNG_OTLP_ENDPOINT": receiver.url, "RUNG_OTLP_SAMPLES": "10000",
        }  # fmt: skip
        with project.recorded(_command(server, port), port, "--database", project.environment["DATABASE_URL"]):
            _ask(port, project.secrets)
            time.sleep(1.5)  # the database is looked at once a second
            for accept in ("application/openmetrics-text", "text/plain", PROTOBUF):
                project.said.append(("metrics", scraped(metrics, accept)))
    assert {"GET /people/{email}", "job:shop.reckon"} <= {span.name for span in receiver.spans()}
    text, *_ = (body for name, body in project.said if name == "metrics")
    assert b'http_route="/people/{email}"' in text
    project.said += [(path, message.SerializeToString()) for path, message in receiver.came]
    _is_full(project.recording, server)
    _wait_texts(project)
    assert [] == project.found()


@pytest.mark.alone  # a price needs a recording that the twin can reproduce
def test_no_value_is_in_any_answer(project: Project) -> None:
    port = free_port()
    with project.recorded(_command("fastapi", port), port, "--raw"):
        _ask(port, project.secrets)
    project.rung("pack", "--output", "carried.rung")
    (raw,) = (project.folder / ".rung" / "raw").iterdir()
    assert any(raw.glob("*.frames"))
    _is_full(project.recording, "fastapi")
    # Whatever happens to be slowest is not what is asked about here.
    stricter = ("--latency", "100us", "--database", project.environment["DATABASE_URL"])
    for command in (["find"], ["find", "carried.rung", "--json"]):
        assert b"/people/{email}" in project.rung(*command, *stricter)
    assert b"index people (email)" in project.rung("price", *stricter)
    project.rung("take", "index:people", *stricter)
    project.rung("doctor", "--json", "--database", project.environment["DATABASE_URL"])
    project.rung("ledger")
    assert list((project.folder / ".rung" / "answers").iterdir())
    assert [] == project.found()


def test_a_password_that_does_not_work_is_not_quoted(project: Project) -> None:
    password = project.secrets["password"]
    refused = (
        f"postgresql://me:{password}@127.0.0.1:port/none",
        f"host=127.0.0.1 port=1 password='{password} dbname=none",
        f"host=127.0.0.1 port=1 password={password} {password}",
        password,
    )
    for dsn in refused:
        project.rung("doctor", "--json", "--database", dsn)
    # An address that is right and a password that is not, and nobody there to tell.
    with psycopg.connect(project.environment["DATABASE_URL"]) as connection:
        there = f"postgresql://{connection.info.user}:x{password}@{connection.info.host}:{connection.info.port}/none"
    project.rung("doctor", "--json", DATABASE_URL=there)
    (project.folder / "rung.toml").write_text(f'[database]\nurl = "{refused[0]}"\n', "utf-8")
    nothing = (sys.executable, "-c", "import time; time.sleep(1)")
    project.rung("record", "--", *nothing)
    project.rung("record", "--database", there, "--", *nothing)
    (project.folder / "rung.toml").unlink()
    assert [] == project.found()


def test_what_does_leak_is_found(tmp_path: Path) -> None:
    secrets = canaries.made()
    assert len(set(secrets.values())) == len(canaries.TEXTS) + len(canaries.NUMBERS)
    names = ("parameter", "literal", "number_path", "cookie", "body", "number_literal", "query", "header", "log")
    row = request(route=f"/{secrets['query']}")
    counts = {"dropped": 0}
    hello = frames.Hello(frames.FORMAT, "0", "h", "i", 1, "3", {}, 1.0)
    framed = frames.encode_hello(hello) + frames.encode_batch([row], counts=counts, failed_at={})
    (tmp_path / "a.frames").write_bytes(framed)
    (tmp_path / "plain.jsonl").write_text(json.dumps({"it": secrets["parameter"]}) + "\n", "utf-8")
    (tmp_path / secrets["literal"]).touch()
    (tmp_path / "number").write_bytes(b"\0\0" + int(secrets["number_path"]).to_bytes(8, "little"))
    (tmp_path / "hex").write_text(secrets["cookie"].encode().hex(), "utf-8")
    (tmp_path / "escaped.json").write_text(json.dumps("".join(f"{letter}" for letter in secrets["log"])), "utf-8")
    with duckdb.connect(":memory:") as connection:
        rows = connection.sql(
            "SELECT encode($body) AS a, $number::DOUBLE AS b",
            params={"body": secrets["body"], "number": secrets["number_literal"]},
        )
        rows.write_parquet(str(tmp_path / "a.parquet"), compression="zstd")
    said = [("output", f"Basic {_base64(secrets['header'])}".encode())]
    found = canaries.search([*canaries.everything_below(tmp_path), *said], secrets)
    assert set(names) == {one.partition(" ")[0] for one in found}, found


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(f"me:{text}".encode()).decode()

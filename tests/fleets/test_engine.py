"""
ClickHouse over HTTP: what is sent to it, what it may do, and what its errors say.

There is no package with a whole ClickHouse server; here a server of some lines has chdb execute what is posted, with
the settings of the address.
"""

from __future__ import annotations

import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rung.adapters.clickhouse.dialect import translated
from rung.adapters.clickhouse.engine import EmbeddedEngine, engine_of
from rung.adapters.clickhouse.native import columns_of
from rung.adapters.clickhouse.reading import ClickHouseRecording
from rung.adapters.fleet.gather import gathered
from rung.adapters.fleet.push import push
from rung.adapters.fleet.store import Store
from rung.adapters.opening import opened
from rung.adapters.shelf import RECORDINGS
from rung.errors import BadValue, EngineRefused, EngineUnreachable, UsageError
from rung.ports import Rows
from tests.fleets.conftest import Bucket
from tests.fleets.simulated import Fleet, write
from tests.fleets.test_equal import EMBEDDED, profile, same
from tests.ports import free_port

FLEET = Fleet(hosts=1, instances=2, hours=1, requests=30)
REFUSED = "Code: 516. DB::Exception: canary: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"


class Posted:
    """
    What was posted to the server, and how it answers.
    """

    def __init__(self, port: int) -> None:
        self.url = f"clickhouse://reader:canary-password@127.0.0.1:{port}"
        self.asked: list[tuple[dict[str, str], dict[str, str], str]] = []
        self.refuses = False


@contextmanager
def clickhouse() -> Iterator[Posted]:
    embedded = engine_of(EMBEDDED)
    assert isinstance(embedded, EmbeddedEngine)

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            settings = dict(urllib.parse.parse_qsl(self.path.partition("?")[2]))
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            posted.asked.append((settings, dict(self.headers.items()), body))
            status, answer = 200, b""
            if posted.refuses:
                status, answer = 403, REFUSED.encode()
            else:
                question, found = re.subn(r"\nformat Native$", "", body)
                assert found
                given = {name: value for name, value in settings.items() if name != "wait_end_of_query"}
                clause = ", ".join(f"{name} = '{value}'" for name, value in given.items())
                try:
                    answer = bytes(embedded._session.query(f"{question}\nsettings {clause}", "Native").bytes())
                except RuntimeError as problem:
                    status, answer = 500, str(problem).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        posted = Posted(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield posted
        finally:
            server.shutdown()
            thread.join()


def test_a_server_is_asked_read_only_and_gives_the_same(bucket: Bucket, tmp_path: Path) -> None:
    folder = write(tmp_path / "host", FLEET, [(0, 0), (0, 1)], [0], name="shop", host="host-0", database=0)
    push(folder, Store(bucket.prefix))
    recording = tmp_path / RECORDINGS / gathered(tmp_path, bucket.prefix)
    reference = profile(opened(folder))
    with clickhouse() as server:
        same(reference, profile(opened(recording, server.url)))

    settings, headers, body = server.asked[0]
    assert ("2", "1") == (settings["readonly"], settings["wait_end_of_query"])
    assert ("reader", "canary-password") == (headers["X-ClickHouse-User"], headers["X-ClickHouse-Key"])
    assert not any("canary" in f"{settings} {body}" for settings, _, body in server.asked)
    assert bucket.endpoint in body


def test_what_writes_is_refused_by_the_server(tmp_path: Path) -> None:
    with clickhouse() as server, pytest.raises(EngineRefused, match="READONLY"):
        engine_of(server.url).answer("create table stays (a Int32) engine = Memory")


def test_a_refusal_is_told_by_its_name_alone(tmp_path: Path) -> None:
    with clickhouse() as server:
        server.refuses = True
        with pytest.raises(EngineRefused) as raised:
            engine_of(server.url).answer("select 1")
    assert raised.value.message.endswith("refuses: AUTHENTICATION_FAILED")
    assert "canary" not in f"{raised.value.message} {raised.value.why}"


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable) as raised:
        engine_of(f"clickhouse://reader:canary@127.0.0.1:{free_port()}/shop").answer("select 1")
    assert "canary" not in raised.value.message


@pytest.mark.parametrize(
    "url", ["clickhouse:///db", "http://h:8123/", "clickhouse://h/?collection=a'b", "clickhouse://u:canary@", ""]
)
def test_what_names_no_engine(url: str) -> None:
    with pytest.raises(BadValue) as raised:
        engine_of(url)
    assert "canary" not in raised.value.message


def test_a_server_is_not_asked_for_files_of_this_machine(tmp_path: Path) -> None:
    folder = write(tmp_path, FLEET, [(0, 0)], [0], name="shop", host="host-0", database=None)
    with pytest.raises(UsageError, match="cannot read this machine's files"):
        opened(folder, "clickhouse://127.0.0.1:8123").rows(Rows("select 1 from requests"))


def test_a_folder_that_reads_like_a_pattern(tmp_path: Path) -> None:
    folder = write(tmp_path / "a{b,c}", FLEET, [(0, 0)], [0], name="shop", host="host-0", database=None)
    with pytest.raises(UsageError, match="takes for a pattern"):
        opened(folder, EMBEDDED).rows(Rows("select 1 from requests"))
    assert len(opened(folder).rows(Rows("select 1 as one from requests"))["one"])


def test_a_named_collection_carries_the_credentials(tmp_path: Path, bucket: Bucket) -> None:
    folder = write(tmp_path / "host", FLEET, [(0, 0)], [0], name="shop", host="host-0", database=None)
    push(folder, Store(bucket.prefix))
    recording = tmp_path / RECORDINGS / gathered(tmp_path, bucket.prefix)

    class Heard:
        address, collection, embedded = "h:8123", "rung", False
        sql = ""

        def answer(self, sql: str) -> bytes:
            self.sql = sql
            return b""

    engine = Heard()
    ClickHouseRecording(recording, engine).rows(Rows("select count(*) as n from requests"))
    assert re.search(r"from s3\(rung, url = 'http://127[^']*/requests\.parquet', format = 'Parquet', ", engine.sql)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("-- why\nselect a from t", "with t as (\nselect 1\n)\nselect a from t"),
        ("-- with care\nwith u as (select 1) select 2", "with t as (\nselect 1\n),\nu as (select 1) select 2"),
        ("with recursive u as (select 1) select 2", "with recursive t as (\nselect 1\n),\nu as (select 1) select 2"),
    ],
)
def test_tables_are_named_before_what_the_question_names(sql: str, expected: str) -> None:
    assert expected == translated(sql, {"t": "select 1"})


def test_types_and_nulls_come_as_duckdb_gives_them() -> None:
    answer = engine_of(EMBEDDED).answer(
        "select 1 as a, cast(null as Nullable(Int64)) as b, cast(null as Nullable(String)) as c, 'x' as d,"
        " 1 = 1 as e, 2.5 as f, count(*) as g, null as h, cast(-3 as Nullable(Int16)) as i group by all"
    )
    found = columns_of(answer)
    assert np.isnan(found["b"][0])
    assert np.isnan(found["h"][0])
    assert ("", "x", True, 2.5, 1, -3) == tuple(found[name][0] for name in "cdefgi")
    assert (np.dtype(bool), np.dtype(np.int64), np.dtype(np.int16)) == tuple(found[name].dtype for name in "egi")
    with pytest.raises(ValueError, match=r"ends early|buffer"):
        columns_of(answer[:-3])

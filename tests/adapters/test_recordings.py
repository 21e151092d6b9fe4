"""
Reading recordings: which one is meant, what is in it, and what is said of one that cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from rung.adapters.recordings import EMPTY, ParquetRecording
from rung.adapters.shelf import find_recording, folder_of, names
from rung.errors import RecordingBroken, RecordingMissing, RecordingTooNew, UsageError
from rung.ports import Manifest, RecordingFacts, Rows
from rung.steps.record import FORMAT
from tests import tables

OLDEST, OLD, NEW = "2026-11-21T10-00-00Z-app", "2026-11-22T10-00-00Z-app", "2026-11-23T10-00-00Z-app2"


def test_a_sealed_recording_is_read(tmp_path: Path) -> None:
    recording = ParquetRecording(_sealed(tmp_path / OLD, requests=3))

    rows = recording.rows(Rows("select request, route, queue_s, cpu_s, error, status from requests order by request"))
    assert [1, 2, 3] == rows["request"].tolist()
    assert ["/orders"] * 3 == rows["route"].tolist()
    assert RecordingFacts(name=OLD, sealed=True, processes=1, dropped=2, failures=0) == recording.manifest(Manifest())


def test_what_an_older_rung_wrote_has_nothing_in_the_columns_that_came_later(tmp_path: Path) -> None:
    path = _sealed(tmp_path / OLD, requests=3, format=1)
    old = "host, instance, worker, request, route, method, status, arrived_s, queue_s, duration_s, cpu_s, cancelled"
    with duckdb.connect(":memory:") as connection:
        kept = connection.read_parquet(str(path / "requests.parquet")).project(f"{old}, error")
        kept.write_parquet(str(path / "older.parquet"))
    (path / "older.parquet").replace(path / "requests.parquet")
    for table in set(EMPTY) - {"requests", "segments", "statements", "processes"}:
        (path / f"{table}.parquet").unlink()

    recording = ParquetRecording(path)
    assert 3 == len(recording.rows(Rows("select kind from requests where kind is null"))["kind"])
    assert [0] == recording.rows(Rows("select count(*) as n from reads"))["n"].tolist()


def test_what_the_processes_counted_is_added_up(tmp_path: Path) -> None:
    """
    Where instruments failed is told with the most frequent place first, apart from what the recorder gave up.
    """
    path = _sealed(tmp_path / OLD, requests=1)
    said = "rung sheds digests: it takes 0.30 s of CPU a second"
    processes = [
        tables.row(
            "processes", host="h", instance="i", worker=worker, dropped=worker, failures=4,
            libraries=json.dumps({"flask": f"3.{worker}"}), counts=json.dumps({"websockets": 2, "shed": 1}),
            failed_at=json.dumps({"A at f:1": 1, "B at g:2": 3, "gone at h:3": 0, **told}),
        )
        for worker, told in ((1, {said: 1}), (2, {}))
    ]  # fmt: skip
    _write(path / "processes.parquet", "processes", processes)

    facts = ParquetRecording(path).manifest(Manifest())
    assert (2, 3, 8, 4) == (facts.processes, facts.dropped, facts.failures, facts.websockets)
    assert (("B at g:2", 6), ("A at f:1", 2)) == facts.failed_at
    assert ("sheds digests: it takes 0.30 s of CPU a second",) == facts.shed
    assert (("flask", "3.1"), ("flask", "3.2")) == facts.libraries


def test_what_is_still_given_up_is_told_without_its_sentence(tmp_path: Path) -> None:
    """
    The sentence is said once, in the recording before; nor is one broken row a reason to read nothing.
    """
    path = _sealed(tmp_path / OLD, requests=1)
    named = {"host": "h", "instance": "i", "dropped": 0, "failures": 0, "libraries": "{"}
    _write(path / "processes.parquet", "processes", [
        tables.row("processes", **named, worker=1, counts=json.dumps({"shed": 2}), failed_at="{}"),
        tables.row("processes", **named, worker=2, counts="[]", failed_at=None),
    ])  # fmt: skip

    facts = ParquetRecording(path).manifest(Manifest())
    assert (("sheds stacks",), (), ()) == (facts.shed, facts.failed_at, facts.libraries)


def test_null_is_nan_or_nothing(tmp_path: Path) -> None:
    rows = ParquetRecording(_sealed(tmp_path / OLD, requests=2)).rows(
        Rows(
            "select queue_s, error, case request when 1 then 7 end as number, duration_s from requests order by request"
        )
    )
    assert np.isnan(rows["queue_s"]).all()
    assert ["", "timeout"] == rows["error"].tolist()
    assert rows["number"][0] == 7
    assert np.isnan(rows["number"][1])
    assert not any(isinstance(column, np.ma.MaskedArray) for column in rows.values())


def test_the_parts_of_an_unsealed_one_are_read(tmp_path: Path) -> None:
    path = _folder(tmp_path / OLD, sealed=False)
    for part in (1, 2):
        _write(path / f"requests-{part:06d}.parquet", "requests", [_request(part)])
    (path / ".requests-000003.parquet.part").write_bytes(b"half")

    recording = ParquetRecording(path)
    assert [2] == recording.rows(Rows("select count(*) as n from requests"))["n"].tolist()
    assert [0] == recording.rows(Rows("select count(*) as n from segments"))["n"].tolist()
    assert RecordingFacts(name=OLD, sealed=False, processes=0, dropped=0, failures=0) == recording.manifest(Manifest())


# Each table once, and each length; the other pairs are long.
@pytest.mark.parametrize(
    ("table", "kept_bytes"),
    [
        pytest.param(table, kept_bytes, marks=[] if place % 4 == turn else pytest.mark.long)
        for place, table in enumerate(EMPTY)
        for turn, kept_bytes in enumerate((0, 3, 100, -1))
    ],
)
def test_a_truncated_file_is_named(tmp_path: Path, table: str, kept_bytes: int) -> None:
    file = _sealed(tmp_path / OLD, requests=3) / f"{table}.parquet"
    file.write_bytes(file.read_bytes()[:kept_bytes])

    with pytest.raises(RecordingBroken, match=rf"{table}\.parquet cannot be read"):
        ParquetRecording(tmp_path / OLD)


def test_a_file_that_is_damaged_within_is_told_when_it_is_read(tmp_path: Path) -> None:
    file = _sealed(tmp_path / OLD, requests=3) / "requests.parquet"
    content = bytearray(file.read_bytes())
    content[4:200] = bytes(196)
    file.write_bytes(content)

    with pytest.raises(RecordingBroken, match=OLD):
        ParquetRecording(tmp_path / OLD).rows(Rows("select * from requests"))


def test_a_file_that_is_missing_from_a_sealed_one_is_named(tmp_path: Path) -> None:
    (_sealed(tmp_path / OLD, requests=1) / "segments.parquet").unlink()
    with pytest.raises(RecordingBroken, match=r"segments\.parquet is missing"):
        ParquetRecording(tmp_path / OLD)


def test_a_newer_format_is_refused_with_the_pip_line(tmp_path: Path) -> None:
    path = _sealed(tmp_path / OLD, requests=1, format=FORMAT + 1)
    with pytest.raises(RecordingTooNew) as refused:
        ParquetRecording(path)
    assert ("Upgrade", "pip install 'rung[tool]>=9.9'") in refused.value.steps


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"format": null}', '{"format": "x"}', "\xff"])
def test_what_is_no_recording_is_told(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "recording.json").write_text(manifest, "latin-1")
    with pytest.raises(RecordingBroken, match=r"recording\.json is not readable"):
        ParquetRecording(tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    assert [] == names(tmp_path)
    for asked in (None, "", "x"):
        with pytest.raises(RecordingMissing):
            find_recording(tmp_path, asked)
    with pytest.raises(RecordingBroken, match=r"has no recording\.json"):
        find_recording(tmp_path, str(tmp_path))
    with pytest.raises(RecordingBroken):
        ParquetRecording(tmp_path)


def test_the_newest_sealed_one_is_taken(tmp_path: Path) -> None:
    _folder(tmp_path / "recordings" / OLDEST, sealed=True)
    _folder(tmp_path / "recordings" / OLD, sealed=True)
    _folder(tmp_path / "recordings" / NEW, sealed=False)
    assert [OLDEST, OLD, NEW] == names(tmp_path)
    assert OLD == find_recording(tmp_path, None)

    (tmp_path / "recordings" / OLD / "recording.json").write_text("{")
    assert OLDEST == find_recording(tmp_path, None)
    (tmp_path / "recordings" / OLDEST / "recording.json").unlink()
    assert NEW == find_recording(tmp_path, None)
    (tmp_path / "recordings" / NEW / "recording.json").write_text("{")
    with pytest.raises(RecordingBroken, match=NEW):
        find_recording(tmp_path, None)


def test_a_newest_one_of_a_newer_format_is_not_passed_over(tmp_path: Path) -> None:
    _folder(tmp_path / "recordings" / OLD, sealed=True)
    _folder(tmp_path / "recordings" / NEW, sealed=True, format=FORMAT + 1)
    with pytest.raises(RecordingTooNew):
        find_recording(tmp_path, None)


def test_a_recording_is_found_by_name_beginning_end_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = f"{OLD}2"
    for name in (OLDEST, OLD, longer, NEW):
        _folder(tmp_path / "recordings" / name, sealed=True)

    assert OLD == find_recording(tmp_path, OLD)
    assert longer == find_recording(tmp_path, longer[:-1] + "2")
    assert NEW == find_recording(tmp_path, NEW[:-2])
    with pytest.raises(UsageError, match="any of 2 recordings"):
        find_recording(tmp_path, "2026-11-22")
    assert OLD == find_recording(tmp_path, "app")
    assert NEW == find_recording(tmp_path, "app2")
    path = tmp_path / "recordings" / OLD
    assert str(path) == find_recording(tmp_path / "elsewhere", str(path))
    assert path == folder_of(tmp_path, OLD) == folder_of(tmp_path / "elsewhere", str(path))
    with pytest.raises(RecordingMissing, match="2027"):
        find_recording(tmp_path, "2027")
    monkeypatch.chdir(path)
    assert str(path) == find_recording(tmp_path, ".")


def test_a_folder_with_characters_of_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a*b[c]?" / OLD
    recording = ParquetRecording(_sealed(path, requests=2))
    assert [2] == recording.rows(Rows("select count(*) as n from requests"))["n"].tolist()


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/passwd', delim = ':')",
        "select * from read_text('{outside}')",
        "select * from glob('/etc/*')",
        "select * from read_parquet('http://127.0.0.1:9/x.parquet')",
        "select * from '{outside}'",
        "copy (select 1) to '{outside}.copy'",
        "attach '{outside}.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "select * from read_text('{inside}/../../outside.csv')",
    ],
)
def test_nothing_outside_the_recording_can_be_reached(tmp_path: Path, statement: str) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a,b\n1,2\n")
    path = _sealed(tmp_path / "recordings" / OLD, requests=1)

    with pytest.raises(RecordingBroken):
        ParquetRecording(path).rows(Rows(statement.format(outside=outside, inside=path)))
    assert {"outside.csv", "recordings"} == {entry.name for entry in tmp_path.iterdir()}


def _request(number: int, error: str | None = None) -> tuple[Any, ...]:
    return tables.row(
        "requests", host="h", instance="i", worker=1, request=number, kind="request", route="/orders", method="GET",
        status=200, arrived_s=number, duration_s=0.25, cancelled=False, error=error, exemplar=False,
    )  # fmt: skip


def _folder(path: Path, *, sealed: bool, format: int = FORMAT) -> Path:
    path.mkdir(parents=True)
    manifest: Mapping[str, Any] = {"format": format, "rung": "9.9", "sealed": sealed}
    (path / "recording.json").write_text(json.dumps(manifest))
    return path


def _sealed(path: Path, *, requests: int, format: int = FORMAT) -> Path:
    _folder(path, sealed=True, format=format)
    rows = [_request(number, "timeout" if number == 2 else None) for number in range(1, requests + 1)]
    _write(path / "requests.parquet", "requests", rows)
    for table in set(EMPTY) - {"requests", "processes"}:
        _write(path / f"{table}.parquet", table, [])
    process = {"host": "h", "instance": "i", "worker": 1, "started_s": 0, "python": "3.11", "libraries": "{}"}
    _write(
        path / "processes.parquet",
        "processes",
        [tables.row("processes", **process, requests=3, dropped=2, failures=0)],
    )
    return path


def _write(path: Path, table: str, rows: list[tuple[Any, ...]]) -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute(EMPTY[table])
        for row in rows:
            connection.table(table).insert(row)
        connection.table(table).write_parquet(str(path))

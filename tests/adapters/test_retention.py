"""
What stays of older recordings, and what never goes.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from rung import clock
from rung.adapters.retention import Removed, Retention, prune, prune_raw

DAY_S = 86400.0
NAMES = [f"2026-11-{day}T10-00-00Z-shop" for day in (20, 21, 22, 23)]
SIZE_BYTES = 1000


def recorded(data: Path, name: str, *, age_s: float, sealed: bool = True) -> Path:
    path = data / "recordings" / name
    path.mkdir(parents=True)
    (path / "requests.parquet").write_bytes(b"x" * SIZE_BYTES)
    (path / "recording.json").write_text(json.dumps({"format": 2, "sealed": sealed}))
    (data / "answers").mkdir(exist_ok=True)
    (data / "answers" / f"{name}.jsonl").write_text("{}\n")
    then_s = clock.now_s() - age_s
    os.utime(path / "recording.json", (then_s, then_s))
    return path


def kept(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "recordings").iterdir())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for days, name in zip((20, 15, 13, 0), NAMES, strict=True):
        recorded(tmp_path / ".rung", name, age_s=days * DAY_S)
    return tmp_path / ".rung"


def asked(data: Path, *, days: float = 14, total_bytes: int = 10**9) -> Retention:
    return Retention(days * DAY_S, total_bytes, data.parent / "rung" / "ledger")


def test_what_is_too_old_goes_with_its_answers(data: Path) -> None:
    removed = prune(data, asked(data), newest=NAMES[3])
    assert tuple(NAMES[:2]) == removed.names
    assert NAMES[2:] == kept(data)
    assert {f"{name}.jsonl" for name in NAMES[2:]} == {path.name for path in (data / "answers").iterdir()}
    assert removed.freed_bytes >= 2 * SIZE_BYTES
    assert f"removed 2 recordings, from {NAMES[0]} on" in removed.words()
    assert Removed((), 0) == prune(data, asked(data), newest=NAMES[3])


def test_what_is_too_much_goes_oldest_first(data: Path) -> None:
    removed = prune(data, asked(data, days=100, total_bytes=2 * SIZE_BYTES + 500), newest=NAMES[3])
    assert tuple(NAMES[:2]) == removed.names
    assert f"removed {NAMES[0]} (" in Removed(removed.names[:1], 12).words()


def test_the_newest_stays_whatever_is_asked(data: Path) -> None:
    prune(data, asked(data, days=0.0001, total_bytes=1), newest=NAMES[3])
    assert [NAMES[3]] == kept(data)


def test_what_the_ledger_names_stays(data: Path) -> None:
    ledger = data.parent / "rung" / "ledger"
    ledger.mkdir(parents=True)
    (ledger / "0001-index.toml").write_text(f'before = "{NAMES[0]}"\n')
    (ledger / "0002-broken.toml").write_text(f'after = "{NAMES[1]}\n')
    prune(data, asked(data, days=0.0001, total_bytes=1), newest=NAMES[3])
    assert [NAMES[0], NAMES[1], NAMES[3]] == kept(data)


def test_one_that_goes_on_or_cannot_be_read_stays(data: Path) -> None:
    going = recorded(data, "2026-11-01T10-00-00Z-goes-on", age_s=30 * DAY_S, sealed=False)
    broken = recorded(data, "2026-11-02T10-00-00Z-broken", age_s=30 * DAY_S)
    (broken / "recording.json").write_text("{")
    prune(data, asked(data), newest=NAMES[3])
    assert [going.name, broken.name, *NAMES[2:]] == kept(data)


def test_raw_frames_go_once_nobody_writes_them(tmp_path: Path) -> None:
    folders = []
    for name in NAMES:
        folder = tmp_path / "raw" / name
        folder.mkdir(parents=True)
        (folder / "a.frames").write_bytes(b"x" * SIZE_BYTES)
        folders.append(folder)
    retention = Retention(DAY_S, SIZE_BYTES, tmp_path / "ledger")
    descriptor = os.open(folders[1] / "a.frames", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        assert (NAMES[0], NAMES[2]) == prune_raw(tmp_path, retention, newest=NAMES[3]).names
    finally:
        os.close(descriptor)
    assert [folders[1], folders[3]] == sorted((tmp_path / "raw").iterdir())

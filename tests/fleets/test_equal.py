"""
One profile, whoever reads it: DuckDB on one folder, DuckDB on what twenty instances sent to S3, ClickHouse on the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rung
from rung.adapters.fleet.gather import gathered
from rung.adapters.fleet.push import push
from rung.adapters.fleet.store import Store
from rung.adapters.opening import opened
from rung.adapters.shelf import RECORDINGS
from rung.adapters.traffic.replay import ARRIVALS, HEALTH
from rung.ports import Rows
from rung.steps.measure import Profile, measure
from rung.steps.measure.questions import over_kept
from tests.fleets.conftest import Bucket
from tests.fleets.simulated import Fleet, hosts_of, one_folder
from tests.strategies import answered

EMBEDDED = "clickhouse+embedded://"
FLEET = Fleet()
# The engines add fractions up in another order.
LAST_DIGITS = 1e-9


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_folder(tmp_path_factory.mktemp("one"), FLEET)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return hosts_of(tmp_path_factory.mktemp("many"), FLEET)


def profile(recording: Any) -> Profile:
    made: Profile = answered(measure(), lambda question: getattr(recording, question.verb)(question))
    return made


def same(value: Any, other: Any, where: str = "") -> None:
    """
    Fail where the two differ, with the name of the field.
    """
    assert type(value) is type(other), where
    if isinstance(value, np.ndarray):
        assert value.dtype == other.dtype, where
        np.testing.assert_array_equal(value, other, err_msg=where)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if field.name != "facts":
                same(getattr(value, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(value, float):
        assert value == pytest.approx(other, rel=LAST_DIGITS), where
    elif isinstance(value, tuple):
        assert len(value) == len(other), where
        for place, (each, its) in enumerate(zip(value, other, strict=True)):
            same(each, its, f"{where}[{place}]")
    elif isinstance(value, dict):
        assert list(value) == list(other), where
        for key in value:
            same(value[key], other[key], f"{where}[{key}]")
    else:
        assert value == other, where


PACKAGE = Path(rung.__file__).parent
# What others are asked over; DEFINED names what each of them defines.
DEFINED = {"kept": ("kept", "traffic"), "places": ("places",)}


def questions() -> Iterator[tuple[str, str]]:
    """
    Every question of the package, whoever asks it, with what it is asked over.
    """
    for path in sorted(PACKAGE.rglob("*.sql")):
        # A single request is looked for with DuckDB alone (rung trace, rung logs).
        if path.stem in DEFINED or path.parent.name == "trace":
            continue
        text = path.read_text("utf-8").replace("{calls_min}", "3")
        words = set(re.findall(r"[a-z_]+", re.sub(r"--[^\n]*", "", text)))
        over = [name for name in ("kept", "places") if words & set(DEFINED[name])]
        yield path.stem, over_kept(*(name for name in over if name != "kept")) + text if over else text
    yield "arrivals", over_kept() + ARRIVALS
    yield "health", over_kept() + HEALTH


QUESTIONS = dict(questions())


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_answered_alike(name: str, one: Path) -> None:
    """
    Whoever adds one writes it so that both engines read it (adapters/clickhouse/dialect.py has the few exceptions).
    """
    duckdb, clickhouse = (opened(one, engine).rows(Rows(QUESTIONS[name])) for engine in (None, EMBEDDED))
    assert list(duckdb) == list(clickhouse)
    assert len(next(iter(duckdb.values()))), "the recording has nothing that this asks for"
    for column, values in duckdb.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(clickhouse[column], values, rtol=LAST_DIGITS, err_msg=column)
        else:
            assert values.tolist() == clickhouse[column].tolist(), column


def test_clickhouse_reads_a_folder_as_duckdb_does(one: Path) -> None:
    reference = profile(opened(one))
    assert len(reference.requests) > 1000
    assert reference.beside.locks
    assert reference.beside.executions
    assert len(reference.after.request)
    assert len(reference.counted.route)
    same(reference, profile(opened(one, EMBEDDED)))


def test_twenty_instances_in_s3_are_one_folder(one: Path, many: list[Path], bucket: Bucket, tmp_path: Path) -> None:
    store = Store(bucket.prefix)
    for folder in many:
        assert push(folder, store).ended
    name = gathered(tmp_path, bucket.prefix, since_s=0.0)
    recording = tmp_path / RECORDINGS / name
    reference, facts = profile(opened(one)), profile(opened(one)).facts

    fleet = profile(opened(recording))
    same(reference, fleet)
    assert 20 == fleet.facts.processes == facts.processes
    assert facts.dropped == fleet.facts.dropped
    assert [] == list((recording).glob("*.parquet"))

    same(reference, profile(opened(recording, EMBEDDED)))

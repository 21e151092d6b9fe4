"""
A cache spares the requests and executions that the recorded reads say would have hit, and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rung.adapters.recordings import ParquetRecording
from rung.moves.cache import (
    HIT_S_MAX,
    HIT_S_MIN,
    NOTHING_READ,
    WHOLE,
    CacheMove,
    Reads,
    cached,
    kept_result,
    kept_route,
)
from rung.steps.measure import CPU, Part
from rung.steps.twin.simulate import simulate
from rung.steps.twin.topology import Host, Topology, Worker
from rung.steps.twin.variant import Variant
from rung.steps.twin.workload import Op, Step, Workload, workload
from tests import tables
from tests.strategies import SLOW, WHO, Row, Segment, answered, keep_recording, profile

QUERY = Part("query", SLOW)
COUNT = 100
ROUTE = "GET /report"
PROFILE = profile(
    [Row(float(number), 0.3, (Segment("query", 0.0, 0.2, SLOW),), ROUTE, cpu_s=0.1) for number in range(COUNT)]
)
TOPOLOGY = Topology((Host("h", 1.0), Host("db", 1.0)), (Worker(0),), (1,))


STEPS = [(Op.DELAY, 1, 0.05, 0), (Op.EXECUTE, 1, 0.15, 0), (Op.COMPUTE, 0, 0.1, 0), (Op.ANSWER, 0, 0.0, 0)]


def worked(steps: Sequence[Step] = STEPS, *, later_s: float = 0.0) -> Workload:
    return workload(
        routes=[ROUTE],
        parts=[CPU, QUERY],
        route=[0] * COUNT,
        worker=[0] * COUNT,
        due_s=[number + later_s for number in range(COUNT)],
        steps=[list(steps)] * COUNT,
    )


def asked(part: Part, *, every: int = 1, changes: bool = False, share: float = 1.0, keys: int = 1) -> Reads:
    """
    One read in each request, a second after the one before; *changes* makes each result another.
    """
    request = np.arange(0, COUNT, every)
    return Reads(
        request=request,
        parts=(part,),
        part=np.zeros(len(request), dtype=np.int64),
        key=request % keys,
        result=request if changes else np.zeros(len(request), dtype=np.int64),
        known=np.ones(len(request), dtype=np.bool_),
        at_s=request.astype(np.float64),
        share=share,
    )


def offered(reads: Reads) -> dict[str, Variant]:
    return {each.name: each for each in CacheMove(reads).variants(PROFILE, worked(), TOPOLOGY, ROUTE)}


def latencies(variant: Variant, traffic: Workload) -> np.ndarray:
    return simulate(*variant.model(traffic, TOPOLOGY)).latency_s


def test_a_route_that_hits_only_finds_its_answer() -> None:
    """
    One key, asked each second, kept for 5: four of five hit.
    """
    variant = offered(asked(WHOLE))[f"cache:{ROUTE}(5s)"]

    expected = [0.3 if number % 5 == 0 else HIT_S_MAX for number in range(COUNT)]
    assert expected == pytest.approx(latencies(variant, worked()).tolist())
    assert variant.cost == "hits 80 %, stale 0 %"
    assert not variant.why_not_yet
    assert not variant.bounds, "all keys were kept"


@pytest.mark.parametrize(("around_s", "hit_s"), [(1e-4, HIT_S_MIN), (1.5e-3, 1.5e-3), (9e-3, HIT_S_MAX)])
def test_a_hit_takes_what_the_app_computes_before_and_after_all_that_it_asks(around_s: float, hit_s: float) -> None:
    """
    That is its framework's: a kept answer goes through it too.  An app that asks for nothing computes nothing but.
    """
    variant = offered(asked(WHOLE))[f"cache:{ROUTE}(5s)"]
    outer, inner = (Op.COMPUTE, 0, around_s / 2, 0), (Op.COMPUTE, 0, 0.1, 0)
    steps = [outer, (Op.EXECUTE, 1, 0.1, 0), inner, (Op.DELAY, 1, 0.1, 0), outer, (Op.ANSWER, 0, 0.0, 0)]

    assert latencies(variant, worked(steps))[1] == pytest.approx(hit_s)


def test_a_statement_that_hits_takes_the_way_there_and_back() -> None:
    variant = offered(asked(QUERY))[f"cache:{SLOW}(15s)"]

    expected = [0.3 if number % 15 == 0 else 0.15 for number in range(COUNT)]
    assert expected == pytest.approx(latencies(variant, worked()).tolist())


def test_times_to_live_that_bring_nothing_more_are_left_out() -> None:
    """
    Each second one read of one key: 0 %, 80 %, 93 %, 98 % and 99 % of the reads hit.
    """
    assert [f"cache:{ROUTE}({ttl})" for ttl in ("5s", "15s", "60s")] == [
        name for name in offered(asked(WHOLE)) if ROUTE in name
    ]


def test_reads_that_never_repeat_are_not_worth_a_cache() -> None:
    variants = offered(asked(WHOLE, keys=COUNT))

    route = [variant for name, variant in variants.items() if ROUTE in name]
    assert ["0 % of the reads would hit"] == [variant.why_not_yet for variant in route]


def test_hits_on_what_has_changed_are_stale() -> None:
    variants = offered(asked(WHOLE, changes=True))

    assert {"100 % of the hits would be stale"} == {v.why_not_yet for n, v in variants.items() if ROUTE in n}


def test_without_digests_nothing_is_promised() -> None:
    variants = offered(NOTHING_READ)

    assert [f"cache:{ROUTE}", f"cache:{SLOW}"] == list(variants)
    assert all("0 of its reads were digested" in variant.why_not_yet for variant in variants.values())


def test_results_that_cannot_be_kept_are_misses() -> None:
    reads = asked(WHOLE)
    told = cached(replace(reads, known=np.arange(COUNT) < COUNT // 2), reads.of(WHOLE), 100.0)

    assert told.hit_share == pytest.approx((COUNT / 2 - 1) / COUNT)
    assert not told.hit[COUNT // 2 :].any()


@pytest.mark.parametrize("every", [1, 2])
def test_requests_that_are_not_in_the_sample_hit_as_often_by_lot(every: int) -> None:
    """
    With half of the keys, or where it is not known which recorded request one is.
    """
    reads = asked(WHOLE, every=every, share=1.0 if every == 1 else 0.5)
    told = cached(reads, reads.of(WHOLE), 5.0)
    traffic = worked(later_s=0.0 if every == 2 else 0.125)

    edited, _ = kept_route(PROFILE, ROUTE, told, told.hit_share)(traffic, TOPOLOGY)

    hits = np.diff(edited.first) == 1
    if every == 2:
        assert told.hit.tolist() == hits[::2].tolist(), "what is known is not drawn"
    drawn = hits[1::2] if every == 2 else hits
    assert abs(drawn.mean() - told.hit_share) < 3 * np.sqrt(0.25 / len(drawn))
    again, _ = kept_route(PROFILE, ROUTE, told, told.hit_share)(traffic, TOPOLOGY)
    assert again.first.tolist() == edited.first.tolist()


def test_a_sample_of_keys_gives_a_price_a_good_and_a_bad_end() -> None:
    reads = asked(QUERY, share=0.5, keys=7)
    told = cached(reads, reads.of(QUERY), 15.0)
    variant = next(v for n, v in offered(reads).items() if n.endswith("(15s)"))

    assert told.off_share > 0
    assert len(variant.bounds) == 2


def test_executions_are_matched_in_order() -> None:
    """
    Two executions a request, of which the second is of the same key each time.
    """
    steps = [(Op.EXECUTE, 1, 0.1, 0), (Op.EXECUTE, 1, 0.2, 0)]
    traffic = workload(
        routes=[ROUTE], parts=[CPU, QUERY], route=[0] * 4, worker=[0] * 4, due_s=[0, 1, 2, 3], steps=[steps] * 4
    )  # fmt: skip
    reads = replace(
        asked(QUERY),
        request=np.repeat(np.arange(4), 2),
        part=np.zeros(8, dtype=np.int64),
        key=np.array([1, 9, 2, 9, 3, 9, 4, 9]),
        result=np.zeros(8, dtype=np.int64),
        known=np.ones(8, dtype=np.bool_),
        at_s=np.repeat(np.arange(4.0), 2),
    )
    told = cached(reads, reads.of(QUERY), 100.0)

    edited, _ = kept_result(PROFILE, QUERY, told, told.hit_share)(traffic, TOPOLOGY)

    assert [0.1, 0.2, 0.1, 0.1, 0.1] == edited.service_s.tolist()


def test_the_recording_is_asked_for_reads(tmp_path: Path) -> None:
    """
    A process that kept fewer keys at its end has only those of all of them: keys of a lesser depth are left out.
    """
    rows = [Row(number * 1.0, 0.3, (Segment("query", 0.1, 0.2, SLOW),), ROUTE) for number in range(4)]
    who = dict(zip(("host", "instance", "worker"), WHO, strict=True))

    def read(request: int, **columns: Any) -> tuple[Any, ...]:
        return tables.row("reads", **who, request=request, **columns)

    keep_recording(
        tmp_path / "before",
        rows,
        reads=[
            read(0, key=5, depth=2, result=7),
            read(1, segment=0, key=6, depth=1, result=None),
            read(2, segment=0, key=8, depth=0, result=9),
        ],
        processes=[
            tables.row(
                "processes", host="h", instance="i", worker=2, started_s=0.0, python="3.11", libraries="{}",
                requests=0, dropped=0, failures=0, counts='{"dropped": 0, "level": 0, "depth": 1}',
            )
        ],
    )  # fmt: skip
    reads = answered(CacheMove().asked(), ParquetRecording(tmp_path / "before").rows).reads

    assert (WHOLE, QUERY) == reads.parts
    assert [0, 1] == reads.request.tolist()
    assert [0, 1] == reads.part.tolist()
    assert [True, False] == reads.known.tolist()
    assert reads.share == 0.5
    assert [1.1] == pytest.approx(np.diff(reads.at_s).tolist())

"""
A served app: from its seams to the profile that a finding is made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rung.adapters.cluster import Cluster
from rung.adapters.recordings import ParquetRecording
from rung.steps.measure import CPU, OTHER, Part, Profile, measure
from tests.probe.serving import ask, line_of, serving, table
from tests.strategies import answered

BUSY_S = SLEPT_S = 0.1  # of seams_app.py


@pytest.fixture(scope="module")
def recording(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("served") / ".rung"
    with serving("seams_app:app", folder, DATABASE_URL=cluster.dsn()) as (port, _, started):
        assert (200, '{"shown":"done 1"}') == ask(port, "/page/one")[::2]
        assert (200, "[200,200,200]") == ask(port, "/calls")[::2]
    return started.recording


@pytest.fixture(scope="module")
def seen(recording: Any) -> Profile:
    kept = ParquetRecording(recording)
    result: Profile = answered(measure(), lambda question: getattr(kept, question.verb)(question))
    return result


def of_route(seen: Profile, route: str, part: Part) -> float:
    chosen = seen.requests.route == seen.routes.index(route)
    return float(np.sum(seen.seconds_on(part)[chosen]))


def test_rendering_waiting_and_computing_are_apart(seen: Profile) -> None:
    page = "GET /page/{name}"
    (query,) = [part for part in seen.parts if part.seam == "query" and "pg_sleep" in seen.texts[part.name].text]
    assert of_route(seen, page, Part("cpu", "render")) >= BUSY_S
    assert of_route(seen, page, query) >= SLEPT_S
    assert of_route(seen, page, OTHER) >= SLEPT_S / 2  # asleep, which no instrument explains
    latency_s = float(seen.requests.latency_s[seen.requests.route == seen.routes.index(page)].sum())
    spent_s = sum(of_route(seen, page, part) for part in {*seen.parts, CPU, OTHER})
    assert spent_s == pytest.approx(latency_s, rel=0.01)


def test_calls_at_once_belong_to_their_request(recording: Any) -> None:
    requests = {row["request"]: row["route"] for row in table(recording, "requests")}
    parts = [row for row in table(recording, "segments") if requests[row["request"]] == "/calls"]
    assert ["http"] * 3 == [part["name"] for part in parts if part["seam"] == "external"]
    (render,) = [row for row in table(recording, "segments") if row["name"] == "render"]
    assert line_of("page", "seams_app.py") == render["code"]


def test_nothing_failed(recording: Any) -> None:
    assert [(0, 0)] == [(row["failures"], row["dropped"]) for row in table(recording, "processes")]

"""
Templates, serialisation, garbage and executors: told apart from the app's own computing, and never counted twice.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from rung.probe import core
from rung.probe.wrapping import around_call, around_computing, named
from tests.probe.player import Played, play
from tests.probe.serving import line_of

# Clocks of two kinds meet here, and a thread's own one may tick in steps of 10 ms.
BUSY_S = 0.05  # of scenes_computing.py
ROUNDING_S = 0.011


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play("scenes_computing", FOLDER=str(tmp_path_factory.mktemp("files")))


def test_everything_is_as_it_is_unrecorded(seen: Played) -> None:
    assert seen.plain == seen.recorded
    assert {} == seen.failures


def test_a_template_is_one_segment_with_what_it_waits_for_inside(seen: Played) -> None:
    whole, wrong = seen.of("jinja_render", "cpu")
    (file,) = seen.of("jinja_render", "file")
    assert ("render", "render") == (whole["name"], wrong["name"])
    assert whole["segment"] == file["parent"]
    assert whole["duration_s"] >= 2 * BUSY_S - ROUNDING_S
    assert _line("render") == whole["code"]
    assert _line("inside") == file["code"]


@pytest.mark.parametrize(
    "scene",
    ["jinja_render", "jinja_generate", "jinja_async", "django_render", "starlette_json", "flask_json", "garbage"],
)
def test_what_is_told_apart_is_not_the_apps_own_computing_as_well(seen: Played, scene: str) -> None:
    outer_s = sum(one["duration_s"] for one in seen.of(scene) if one["parent"] is None)
    assert seen.cpu_s[scene] + outer_s <= seen.lasted_s[scene] + 1e-6


def test_a_template_in_pieces_is_what_its_pieces_computed(seen: Played) -> None:
    whole, left = seen.of("jinja_generate", "cpu")
    assert whole["duration_s"] >= 2 * BUSY_S - ROUNDING_S
    assert left["duration_s"] >= BUSY_S - ROUNDING_S
    assert seen.cpu_s["jinja_generate"] >= BUSY_S - ROUNDING_S
    assert ["file"] == seen.names("jinja_generate", "file")


def test_a_template_that_awaits_leaves_out_the_waiting(seen: Played) -> None:
    (render,) = seen.of("jinja_async", "cpu")
    assert render["duration_s"] >= 2 * BUSY_S - ROUNDING_S
    assert render["calls"] > 1


def test_nested_templates_of_django_count_once(seen: Played) -> None:
    assert ["cpu render", "cpu serialise"] == _without_garbage(seen, "django_render")


@pytest.mark.parametrize("scene", ["starlette_json", "flask_json"])
def test_large_json_is_told_apart(seen: Played, scene: str) -> None:
    assert {"cpu serialise"} == set(_without_garbage(seen, scene))


def test_fastapi_turns_a_result_into_json_in_steps(seen: Played) -> None:
    names = _without_garbage(seen, "fastapi_json")
    assert {"cpu serialise"} == set(names)
    assert 3 <= len(names) <= 5  # a model is validated and written out; without one there are both steps as well


def test_computing_is_no_waiting_to_who_looks_at_the_stack() -> None:
    class Both:
        def render(self) -> None:
            assert sys._getframe(1).f_code not in core.waiting

        def call(self) -> None:
            assert sys._getframe(1).f_code in core.waiting

    around_call(Both, "call", "external", named("http"))
    around_call(Both, "render", "cpu", named("render"))
    Both().render()
    Both().call()


def test_short_computing_stays_the_apps_own() -> None:
    class Short:
        def answer(self, value: int) -> int:
            return value + 1

    around_computing(Short, "answer", "serialise", least_s=3600.0)
    request = core.Request("GET")
    token = core.current.set(core.Scope(request, request))
    try:
        assert 2 == Short().answer(1)
        assert not request.segments
    finally:
        core.current.reset(token)
        core.state.live.discard(request)


def test_a_full_collection_of_garbage_is_told(seen: Played) -> None:
    collected = [one for one in seen.of("garbage", "cpu") if one["name"] == "gc"]
    assert collected
    assert all(one["code"] is None for one in collected)


def test_what_is_submitted_belongs_to_the_request(seen: Played) -> None:
    assert ["threads"] * 9 == seen.names("submitted", "threads")
    assert [_line("bare")] == [one["code"] for one in seen.of("submitted", "file")]
    assert _line("submit") in {one["code"] for one in seen.of("submitted", "threads")}
    assert seen.cpu_s["submitted"] >= BUSY_S - ROUNDING_S


def test_executors_of_an_event_loop_count_once(seen: Played) -> None:
    assert ["threads"] * 4 == seen.names("in_executors", "threads")
    assert ["file"] == seen.names("in_executors", "file")
    assert ["threads"] * 2 == seen.names("on_uvloop", "threads")
    assert seen.cpu_s["in_executors"] >= BUSY_S - ROUNDING_S


def test_what_outlives_its_request_is_nobodys(seen: Played) -> None:
    assert 0.0 <= seen.cpu_s["left_behind"] <= seen.lasted_s["left_behind"]
    assert [] == _without_garbage(seen, "the_one_after_it")


def test_parts_that_compute_do_not_overlap(seen: Played) -> None:
    for scene, segments in seen.segments.items():
        computing = sorted(
            (one["start_s"], one["duration_s"]) for one in segments if one["seam"] == "cpu" and one["name"] != "gc"
        )
        assert all(a + lasted <= b + 1e-6 for (a, lasted), (b, _) in itertools.pairwise(computing)), scene


def _without_garbage(seen: Played, scene: str) -> list[str]:
    return [name for name in seen.names(scene, "cpu", "file") if name != "cpu gc"]


def _line(mark: str) -> str:
    return str(Path("tests", "probe") / line_of(mark, "scenes_computing.py"))

"""
The guard sheds step by step, gives back slowly, says each thing once, and leaves an idle app alone.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe.guard import (
    BAD_S,
    DIGESTS,
    EVERYTHING,
    GOOD_S,
    GOOD_S_MAX,
    MEMORY_BYTES_MAX,
    NOTHING,
    SHED,
    STACKS,
    Guard,
)

GOOD = {"process_cpu_s": 0.5, "thread_cpu_s": 0.01, "requests": 100, "segments": 500, "memory_bytes": 2_000_000}
HEAVY = {**GOOD, "segments": 50_000}
LARGE = {**GOOD, "memory_bytes": MEMORY_BYTES_MAX + 1}


def through(guard: Guard, second: dict[str, float], times: int) -> list[str]:
    told = (guard.judge(**second) for _ in range(times))
    return [sentence for sentence in told if sentence is not None]


@pytest.mark.parametrize("bad", [HEAVY, LARGE])
def test_three_bad_seconds_shed_one_thing_more_until_nothing_is_left(bad) -> None:
    guard = Guard()
    assert through(guard, bad, BAD_S - 1) == []
    assert guard.level == NOTHING
    told = through(guard, bad, 100)
    assert guard.level == EVERYTHING
    assert len(told) == EVERYTHING
    for sentence, shed in zip(told, SHED[1:], strict=True):
        assert f"sheds {shed}" in sentence


def test_a_bad_second_among_good_ones_sheds_nothing() -> None:
    guard = Guard()
    for _ in range(50):
        assert through(guard, HEAVY, BAD_S - 1) == []
        assert through(guard, GOOD, 1) == []
    assert guard.level == NOTHING


def test_a_minute_of_good_seconds_gives_one_thing_back() -> None:
    guard = Guard()
    through(guard, HEAVY, 2 * BAD_S)
    assert guard.level == STACKS
    through(guard, GOOD, GOOD_S - 1)
    assert guard.level == STACKS
    through(guard, GOOD, 1)
    assert guard.level == DIGESTS
    through(guard, GOOD, GOOD_S)
    assert guard.level == NOTHING


def test_what_was_given_back_too_early_comes_back_later_and_is_said_once() -> None:
    guard = Guard()
    waited = []
    assert len(through(guard, HEAVY, BAD_S)) == 1
    for _ in range(8):
        seconds = 0
        while guard.level == DIGESTS:
            through(guard, GOOD, 1)
            seconds += 1
        waited.append(seconds)
        assert through(guard, HEAVY, BAD_S) == []
    assert waited == [min(GOOD_S * 2**turn, GOOD_S_MAX) for turn in range(8)]


def test_an_idle_process_is_not_blamed_for_the_recorder_s_own_heartbeat() -> None:
    guard = Guard()
    idle = {"process_cpu_s": 0.001, "thread_cpu_s": 0.001, "requests": 0, "segments": 0, "memory_bytes": 0}
    assert through(guard, idle, 100) == []
    assert guard.level == NOTHING


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "process_cpu_s": st.floats(0, 64),
                "thread_cpu_s": st.floats(0, 64),
                "requests": st.integers(0, 10**6),
                "segments": st.integers(0, 10**7),
                "memory_bytes": st.integers(0, 10**10),
            }
        ),
        max_size=300,
    )
)
def test_whatever_comes_the_level_moves_one_at_a_time_and_each_is_said_once(seconds) -> None:
    guard = Guard()
    told = []
    for second in seconds:
        before = guard.level
        sentence = guard.judge(**second)
        assert abs(guard.level - before) <= 1
        assert NOTHING <= guard.level <= EVERYTHING
        if sentence is not None:
            told.append(guard.level)
    assert told == sorted(set(told))

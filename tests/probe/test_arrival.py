"""
X-Request-Start comes in every unit; nonsense is not guessed at.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.probe.arrival import queue_s

NOW_S = 1_795_473_866.5


@pytest.mark.parametrize(
    "value", [b"t=1795473866.25", b"1795473866.25", b"1795473866250", b"t=1795473866250000", b"1795473866250000000"]
)
def test_the_unit_is_told_by_the_magnitude(value: bytes) -> None:
    waited_s = queue_s(value, NOW_S)
    assert waited_s is not None
    assert abs(waited_s - 0.25) < 1e-3


def test_a_clock_slightly_ahead_is_no_time_at_all() -> None:
    assert 0.0 == queue_s(b"t=1795473867", NOW_S)


@pytest.mark.parametrize(
    "value", [b"", b"t=", b"soon", b"t=nan", b"t=inf", b"-5", b"1795400000", b"1795500000", b"9" * 40]
)
def test_nonsense_is_no_queue(value: bytes) -> None:
    assert queue_s(value, NOW_S) is None


@given(st.binary(max_size=40))
def test_any_header_has_an_answer(value: bytes) -> None:
    waited_s = queue_s(value, NOW_S)
    assert waited_s is None or 0 <= waited_s <= 3600

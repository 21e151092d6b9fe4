"""
Ids over columns are those that the app works out one by one.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rung.steps.trace.ids import begin_as, looks_like_one, spans_of
from rung.trace_context import ROOT, span_of

KEYS = st.integers(0, 2**64 - 1)
SPANS = st.lists(st.tuples(KEYS, st.integers(0, 2**40 - 1), st.integers(ROOT, 2**24 - 2)), min_size=1, max_size=20)


@given(spans=SPANS)
def test_columns_have_the_ids_of_each(spans: list[tuple[int, int, int]]) -> None:
    keys, requests, segments = zip(*spans, strict=True)
    assert [span_of(*each) for each in spans] == spans_of(np.array(keys, dtype=np.uint64), requests, segments).tolist()
    of_one = [span_of(keys[0], *each) for each in zip(requests, segments, strict=True)]
    assert of_one == spans_of(keys[0], requests, segments).tolist()


@given(span=st.integers(1, 2**64 - 1), digits=st.integers(0, 20), other=st.integers(1, 2**64 - 1))
def test_a_beginning_is_met_by_what_begins_so(span: int, digits: int, other: int) -> None:
    text = f"{span:016x}"
    met = begin_as(np.array([span, other], dtype=np.uint64), text[:digits])
    assert [digits > 0, digits > 0 and f"{other:016x}".startswith(text[:digits])] == met.tolist()


def test_what_an_id_looks_like() -> None:
    assert looks_like_one("4bf92f")
    assert not any(map(looks_like_one, ("4bf92", "4BF92F", "xyzxyz", "0" * 33, "")))

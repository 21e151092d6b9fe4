"""
What is thinned is thinned by place, and the files that begin are there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.short import LONGEST, every


def test_of_each_so_many_one_is_short_and_none_is_lost() -> None:
    cases = [1, (2, 3), pytest.param(4, id="four", marks=pytest.mark.xfail), 5]
    kept, *long = every(4, cases)

    assert 1 == kept
    assert [(2, 3), (4,), (5,)] == [each.values for each in long]
    assert [["long"], ["xfail", "long"], ["long"]] == [[mark.name for mark in each.marks] for each in long]
    assert "four" == long[1].id
    assert [(2, 3)] == every(4, cases, first=1)[1:2]


@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_files_are_there(name: str) -> None:
    assert (Path(__file__).parent / name).is_file()

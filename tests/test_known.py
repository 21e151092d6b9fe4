"""
What is said of libraries is so: the versions are those that the tests run with, the instruments are there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rung import known
from rung.adapters.environment import has_instrument
from rung.probe.imports import INSTRUMENTS

ROOT = Path(__file__).resolve().parents[1]
PINNED = {
    requirement.name.replace(".", "-"): str(requirement.specifier).removeprefix("==")
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if (text := line.partition("#")[0].strip())
    for requirement in [Requirement(text)]
}


@pytest.mark.parametrize("library", known.LIBRARIES, ids=lambda library: library.name)
def test_a_library_is_known_in_the_version_that_tests_run_with(library: known.Library) -> None:
    version = PINNED.get(library.name) or PINNED[f"{library.name}-binary"]
    assert known.TESTED == known.state_of(library.name, version), f"add {version} to the table in known.py"
    assert known.library(library.module) is not None
    assert library.name == library.name.lower()


def test_every_instrument_is_there() -> None:
    missing = {one.instrument for one in known.LIBRARIES if one.instrument and not has_instrument(one.instrument)}
    assert not missing, f"known.py names instruments that do not exist: {sorted(missing)}"
    assert not has_instrument("nothing")


def test_every_third_party_that_an_instrument_hooks_is_told_of() -> None:
    hooked: dict[str, set[str]] = {}
    for module, instruments in INSTRUMENTS.items():
        hooked.setdefault(module.partition(".")[0], set()).update(instruments.split())
    for name, instruments in hooked.items():
        if name not in sys.stdlib_module_names:
            library = known.library(name)
            assert library is not None, f"{name} has an instrument and no line in known.py"
            assert library.instrument in instruments


def test_nothing_is_both_known_and_not() -> None:
    names = {library.name for library in known.LIBRARIES}
    assert not names & known.WITHOUT
    assert not (names | known.WITHOUT) & set(known.OTHER_RECORDERS)


def test_only_versions_unlike_all_tested_are_told() -> None:
    assert [] == known.untested({"fastapi": "0.1", "django": "5.0", "unheard-of": "1"})
    (told,) = known.untested({"django": "6.0", "psycopg_pool": "3.1"})
    assert re.fullmatch(r"django 6\.0 \(tested: 5\.2.*\)", told)

"""
Run the examples in docstrings: an example that is wrong is worse than none.

In        every module of rung whose text holds an example
Out       doctest's own report
Not here  the probe's bootstrap, which must only be loaded by the start of Python
"""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
MODULES = [
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((SRC / "rung").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8") and "bootstrap" not in path.parts
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0, "the module's examples are in no docstring that doctest sees"
    assert result.failed == 0, "see doctest's report above"

"""
Prometheus itself, where this machine has it: Debian's package `prometheus`, or PROMETHEUS_FOLDER with its programs.
"""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = os.environ.get("PROMETHEUS") == "required"


def program(name: str) -> str:
    """Return the path of promtool or prometheus; without it the test is skipped, or fails where it is required."""
    found = shutil.which(name, path=os.environ.get("PROMETHEUS_FOLDER") or None)
    if found is None:
        why = f"{name} is not here: apt-get install prometheus, or PROMETHEUS_FOLDER=/folder/of/it"
        if REQUIRED:
            pytest.fail(why)
        pytest.skip(why)
    return found

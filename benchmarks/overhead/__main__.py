"""
The command line of the benchmark: `python -m benchmarks.overhead [--json] [--quick]`.

In        --quick for a short round, --json for a document, --only to leave contenders or layouts out
Out       a table of CPU per request for each layout and number of statements
Not here  measuring (rounds.py)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.overhead import peers
from benchmarks.overhead.rounds import CONTENDERS, Cost, Plan, loading, measure, side_by_side
from rung import __version__, clock
from rung.adapters.cluster import Cluster

STATEMENTS = (0, 1, 5)
FULL = {"in process": Plan(21, 300, None), "uvicorn": Plan(9, 400, 200.0)}
QUICK = {"in process": Plan(3, 100, None), "uvicorn": Plan(3, 80, 200.0)}
SHOWN = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "asyncpg", "msgspec")

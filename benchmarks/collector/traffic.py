"""
Frames as an app's processes would send them, from a generator of random numbers.

In        a generator, how many requests with how many segments
Out       frames, ready to be sent
Not here  sending (rounds.py), what a real app's frames cost the app (benchmarks/overhead)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rung import __version__, frames

ROUTES = tuple(f"/shop/{name}/{{id}}" for name in ("products", "orders", "customers", "carts", "reviews"))
STATEMENTS = tuple(f"{number:016x}" for number in range(1, 41))
CODES = tuple(f"shop/pages.py:{line}" for line in range(20, 60))
DATABASE = "127.0.0.1:5432/shop"
FORKS = ("query", "query", "query", "cpu", "external")
PLACES = [
    (pick, "query", name, DATABASE, code) if FORKS[pick % len(FORKS)] == "query"
    else (pick, FORKS[pick % len(FORKS)], "http", None, code)
    for pick, (name, code) in enumerate(zip(STATEMENTS, CODES, strict=True))
]  # fmt: skip


def greeting(worker: int, started_s: float) -> bytes:
    """
    Return the first frame of a connection.
    """
    return frames.encode_hello(
        frames.Hello(
            format=frames.FORMAT,
            rung=__version__,
            host="bench",
            instance="one",
            worker=worker,
            python="3.11.7",
            libraries={"starlette": "1.0"},
            started_s=started_s,
        )
    )


def batch(
    generator: np.random.Generator, *, requests: int, segments: int, first: int, from_s: float, lasted_s: float
) -> bytes:
    """
    Return one frame with *requests* requests that arrived within *lasted_s* after *from_s*.
    """
    arrived_s = np.sort(generator.uniform(from_s, from_s + lasted_s, requests)).tolist()
    rows = [_request(generator, first + place, at_s, segments) for place, at_s in enumerate(arrived_s)]
    texts = [(DATABASE, name, f"select {name}", "read") for name in STATEMENTS] if first == 1 else []
    return frames.encode_batch(rows, texts, places=PLACES if first == 1 else [], counts={}, failed_at={})


def _request(generator: np.random.Generator, number: int, arrived_s: float, segments: int) -> tuple[Any, ...]:
    durations_s = generator.lognormal(-7.0, 1.0, segments)
    gaps_s = generator.lognormal(-9.0, 0.5, segments)
    starts_s = np.cumsum(gaps_s) + np.concatenate(([0.0], np.cumsum(durations_s)[:-1]))
    picks = generator.integers(0, 40, segments)
    packed = np.zeros(segments, dtype=list(frames.SEGMENT))
    packed["segment"], packed["parent"], packed["place"] = np.arange(segments), -1, picks
    packed["start_s"], packed["duration_s"], packed["calls"], packed["rows"] = starts_s, durations_s, 1, picks
    ended_s = float(starts_s[-1] + durations_s[-1]) if segments else 0.001
    known = {
        "request": number, "kind": "request", "exemplar": False, "reads": [],
        "route": ROUTES[number % len(ROUTES)], "method": "GET", "status": 200,
        "arrived_s": arrived_s, "queue_s": float(generator.lognormal(-8.0, 0.5)), "duration_s": ended_s + 0.0003,
        "cpu_s": ended_s / 3, "cancelled": False, "error": None, "segments": packed.tobytes(),
    }  # fmt: skip
    return _row(frames.Request, known)


def _row(kind: Any, known: dict[str, Any]) -> tuple[Any, ...]:
    # Fields that a later format adds stay empty, so that the same traffic measures it as well.
    names: Sequence[str] = kind.__struct_fields__
    defaults = dict(zip(names[len(names) - len(kind.__struct_defaults__) :], kind.__struct_defaults__, strict=True))
    return tuple(known[name] if name in known else defaults.get(name) for name in names)

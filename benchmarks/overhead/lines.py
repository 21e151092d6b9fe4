"""
What a logged line costs the recorder, and the header of an outgoing call: `python -m benchmarks.overhead.lines`.

Batches of lines with and without the recorder in turns, in one thread, to a handler that does nothing; what
counts is the figure that a twentieth of the batches stays below, so that a busy machine does not decide.

In        nothing
Out       microseconds, as text or with --json as JSON
Not here  whole requests (rounds.py), writing the lines (collector)
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter
from types import SimpleNamespace

import httpx

from rung.probe import core, propagating
from rung.probe.instruments import logging as instrument

BATCH, ROUNDS, ROUNDS_QUICK = 20, 2_500, 500
SHARE = 0.05
HEADERS = {"accept": "*/*", "accept-encoding": "gzip", "connection": "keep-alive", "host": "a", "user-agent": "b"}


class Recorded(logging.Logger):
    """
    A logger that is recorded, beside others.
    """


def main() -> None:
    """
    Measure and print.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.overhead.lines")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    figures_s = measured(ROUNDS_QUICK if asked.quick else ROUNDS)
    if asked.json:
        print(json.dumps(figures_s, indent=2))
    else:
        for name, seconds_s in figures_s.items():
            print(f"{name:<48} {seconds_s * 1e6:6.2f} µs")


def measured(rounds: int) -> dict[str, float]:
    """
    Return seconds by what takes them.
    """
    instrument._logging(SimpleNamespace(Logger=Recorded))  # noqa: SLF001 - as the import hook calls it
    core.state.lines_left, core.state.lines = rounds * BATCH * 100, deque(maxlen=BATCH)
    plain, ours = _logger(logging.Logger), _logger(Recorded)
    request = core.Request("GET")
    core.current.set(core.Scope(request, request))

    def within() -> None:
        request.lines = None
        _template(ours)

    def made() -> None:
        request.lines = None
        _text(ours)

    alone, line = _pair(lambda: _template(plain), within, rounds)
    _, text = _pair(lambda: _text(plain), made, rounds)
    core.state.lines_left = 0
    _, ids = _pair(lambda: _template(plain), lambda: _template(ours), rounds)
    _, first = _pair(_nothing, _ids, rounds)
    _, header = _pair(_nothing, _header, rounds)
    return {
        "a line without the recorder": alone,
        "recorded, its text a constant": line,
        "recorded, its text made": text,
        "its ids alone, as the line before": ids,
        "ids worked out, once a span": first,
        "traceparent on a request of httpx, and off again": header,
    }


def _logger(kind: type[logging.Logger]) -> logging.Logger:
    logger = kind("benchmark", logging.INFO)
    logger.addHandler(logging.NullHandler())
    return logger


def _template(logger: logging.Logger) -> None:
    for number in range(BATCH):
        logger.info("user %s did %d", "somebody", number)


def _text(logger: logging.Logger) -> None:
    for number in range(BATCH):
        logger.info(f"user somebody did {number}")  # noqa: G004 - what is measured


_NONE = ((0, 0, 0, None), ("", ""))
_headers = httpx.Headers(HEADERS)


def _nothing() -> None:
    for _ in range(BATCH):
        propagating._last = _NONE  # noqa: SLF001 - what makes the next one be worked out


def _ids() -> None:
    scope = core.current.get()
    assert scope is not None
    for _ in range(BATCH):
        propagating._last = _NONE  # noqa: SLF001 - as above
        propagating.ids(scope)


def _header() -> None:
    for _ in range(BATCH):
        propagating._last = _NONE  # noqa: SLF001 - as above
        propagating.taken_back(propagating.added(_headers), _headers)


def _pair(without: Callable[[], None], with_it: Callable[[], None], rounds: int) -> tuple[float, float]:
    """
    Return what one of a batch takes without, and how much more with.
    """
    taken_s: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for number, call in enumerate((without, with_it)):
            begun = perf_counter()
            call()
            taken_s[number].append((perf_counter() - begun) / BATCH)
    low_s, high_s = (sorted(each)[int(rounds * SHARE)] for each in taken_s)
    return low_s, high_s - low_s


if __name__ == "__main__":
    main()

"""
Every error says what happened, why it matters and what to type next, and what it says to type exists.

In        the classes of rung.errors, one example of each
Out       a failure names the class and what it lacks
Not here  when they are raised (beside what raises them), how they are printed (tests/surfaces)
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from rung import errors
from rung.errors import RungError

PLAIN = {"why": "It matters.", "steps": (("Look", "rung --help"),)}
# Positional arguments, then named ones. A new class needs its line here.
EXAMPLES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "RungError": (("something happened",), PLAIN),
    "UsageError": (("what was typed does not fit",), PLAIN),
    "UnknownName": (("command", "fnd"), {"known": ["find", "price"]}),
    "BadValue": (("goal.latency", "fast"), {"expected": "a time such as '300ms'", "where": "rung.toml"}),
    "FileUnwritable": (("rung/ledger/0001-index.toml", "No space left on device"), {}),
    "BadFile": (("rung.toml", "line 3 has no value"), {}),
    "ExtraMissing": (("duckdb",), {}),
    "RecordingError": (("a recording cannot be read",), PLAIN),
    "RecordingMissing": ((".rung/recordings",), {}),
    "RecordingEmpty": ((".rung/recordings/2026-11-23T20-33-05Z-shop",), {"processes": 0}),
    "RecordingTooShort": ((), {"requests": 41, "requests_min": 500, "lasted_s": 60.0, "percentile": 95}),
    "RecordingBroken": ((".rung/recordings/2026-11-23T20-33-05Z-shop", "requests.parquet ends early"), {}),
    "RecordingTooNew": (("shop.rung",), {"format_found": 2, "format_known": 1, "rung_version": "0.2.0"}),
    "PackRefused": (("shop.rung", "it is not a zip file"), {}),
    "TracesUnreadable": (("spans.jsonl", "there is no span in it that can be read"), {}),
    "AnswersUnwritable": ((".rung/answers/2026-11-23T20-33-05Z-shop.jsonl", "No space left on device"), {}),
    "CommandError": (("the command cannot be run",), PLAIN),
    "CommandNotFound": (("uvicron",), {}),
    "CommandNotExecutable": (("app.py", "permission denied"), {}),
    "CommandNotStarted": (("no socket could be made",), {}),
    "SocketRefused": (("/run/rung.socket", "another collector listens there"), {}),
    "StoreError": (("the store did not do what was asked",), PLAIN),
    "StoreUnreachable": (("s3://recordings/shop", "connection refused"), {}),
    "BucketMissing": (("s3://recordings/shop",), {}),
    "StoreDenied": (("s3://recordings/shop", "AccessDenied"), {}),
    "StoreRefused": (("s3://recordings/shop", "the bucket is in another region"), {}),
    "EngineError": (("the engine did not do what was asked",), PLAIN),
    "EngineUnreachable": (("127.0.0.1:8123", "connection refused"), {}),
    "EngineRefused": (("127.0.0.1:8123", "AUTHENTICATION_FAILED"), {}),
    "DatabaseError": (("the database did not do what was asked",), PLAIN),
    "DatabaseNotGiven": ((), {}),
    "DatabaseRefused": (("localhost:5432", "connection refused"), {}),
    "DatabaseDenied": (("app", "create an index on orders", "must be owner of table orders"), {}),
    "StatementRefused": (("this statement is not run: it writes",), {"why": "It would be executed."}),
    "ClusterFailed": (("it ended with status 1",), {"log": "FATAL: could not create lock file"}),
    "TrafficError": (("load could not be sent",), PLAIN),
    "LoadVoid": (
        ("3 of 2000 requests started more than 0.05 s late",),
        {"command": "rung confirm --pairs http://127.0.0.1:8000/ http://127.0.0.1:8001/", "rate_per_s": 40.0},
    ),
    "TargetUnreachable": (("http://127.0.0.1:8000/", "connection refused"), {}),
    "ReplayRefused": (("cannot replay GET /products/{id}",), {"why": "It lacks values.", "routes": ["GET /"]}),
    "PortInUse": ((8000,), {}),
    "MoveError": (("the move cannot be taken",), PLAIN),
    "NothingToTake": (("index",), {"on_offer": [], "reason": "The goal holds."}),
    "SettingByHand": (("pool:20",), {}),
    "PatchUnfit": (("shop/orders.py",), {"back": False}),
    "BuildBlocked": ((["process 17, open for 12 min"],), {}),
    "BuildFailed": (("CREATE INDEX ...", "deadlock detected"), {"left": "Nothing is left behind."}),
    "LedgerError": (("the ledger has no change",), PLAIN),
}
OTHER_PROGRAMS = {"pip", "psql"}


def tree(top: type[RungError] = RungError, depth: int = 0) -> Iterator[tuple[int, type[RungError]]]:
    """
    Every class of rung.errors with its depth, in the order of the file.
    """
    yield depth, top
    below = [kind for kind in top.__subclasses__() if kind.__module__ == errors.__name__]
    for kind in sorted(below, key=lambda kind: inspect.getsourcelines(kind)[1]):
        yield from tree(kind, depth + 1)


CLASSES = [kind for _, kind in tree()]


def example(kind: type[RungError]) -> RungError:
    """
    An instance of *kind*, made from its line in EXAMPLES.
    """
    assert kind.__name__ in EXAMPLES, f"{kind.__name__} has no example: give it a line in EXAMPLES of this file"
    positional, named = EXAMPLES[kind.__name__]
    return kind(*positional, **named)


def test_every_example_has_its_class() -> None:
    assert set(EXAMPLES) == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_its_three_parts(kind: type[RungError]) -> None:
    error = example(kind)

    assert error.message.strip(), "what happened is missing"
    assert str(error) == error.message
    assert error.why.strip(), "why it matters is missing"
    assert error.steps, "what to type next is missing"
    assert all(does.strip() and command.strip() for does, command in error.steps)
    assert not error.message.endswith("."), "the message is a phrase: it follows `rung: `"
    assert error.why.endswith((".", "?", "!")) or kind.__name__ == "ClusterFailed", "why is a sentence"
    assert kind.__doc__
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.exit_status in {2, 125, 126, 127}


def test_codes_are_unique() -> None:
    """
    A code is a heading in the docs and a key in JSON.
    """
    twice = [code for code, times in Counter(kind.code for kind in CLASSES).items() if times > 1]
    assert not twice, f"these codes stand for more than one error: {twice}"


def drawn(text: str) -> list[tuple[int, str]]:
    """
    Depth and name of every class in a tree drawn with lines.
    """
    lines = [
        re.match(r"^    (?P<lines>(?:[│ ] {3})*(?:[├└]── )?)(?P<name>[A-Z]\w*)", line) for line in text.splitlines()
    ]
    return [(len(match["lines"]) // 4, match["name"]) for match in lines if match]


def test_the_drawn_tree_is_the_real_one() -> None:
    real = [(depth, kind.__name__) for depth, kind in tree()]
    assert drawn(errors.__doc__ or "") == real, "the docstring of errors.py draws another tree"


def test_the_drawing_is_read_with_its_depth() -> None:
    text = "Every error.\n\n    A\n    ├── B     what\n    │   └── C\n    └── D\n        └── E\n"
    assert drawn(text) == [(0, "A"), (1, "B"), (2, "C"), (1, "D"), (2, "E")]


def refusal(parser: argparse.ArgumentParser, line: str) -> str | None:
    """
    Why *line* cannot be typed, or None.
    """
    words = shlex.split(line)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if not words:
        return "there is no command in it"
    if words[0] in OTHER_PROGRAMS:
        return None
    if words[0] != "rung":
        return f"{words[0]!r} is not one of rung, {', '.join(sorted(OTHER_PROGRAMS))}"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args(words[1:])
    except SystemExit as left:
        return None if left.code in {0, None} else said.getvalue().strip() or "the parser refuses it"
    except RungError as error:
        return error.message
    return None


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_it_says_to_type_exists(kind: type[RungError]) -> None:
    """
    Advice that does not work is the one thing worse than no advice.
    """
    from rung.surfaces.cli import build_parser

    for _, command in example(kind).steps:
        assert (why := refusal(build_parser(), command)) is None, f"{command}: {why}"


def test_a_command_that_does_not_exist_is_noticed() -> None:
    parser = argparse.ArgumentParser(prog="rung")
    parser.add_subparsers(required=True).add_parser("find").add_argument("--database")

    assert refusal(parser, "rung find --database postgresql://x") is None
    assert refusal(parser, "RUNG=off rung find") is None
    assert refusal(parser, "rung --help") is None
    assert refusal(parser, "rung fnd")
    assert refusal(parser, "rung find --databse x")
    assert refusal(parser, "apt install rung")

"""
`rung push`: send recordings to a fleet's prefix, or what an earlier try left of them.

In        the flags
Out       objects in the store; what was sent, in words or JSON; an exit status
Not here  sending (adapters/fleet/push.py)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from rung import wire
from rung.config import PREFIXES
from rung.errors import BadValue, RecordingMissing, UsageError
from rung.surfaces.shapes import document
from rung.surfaces.terminal import EXIT_ANSWERED, print_json
from rung.units import show_bytes


def push(arguments: argparse.Namespace) -> int:
    """
    Send, and say what was.
    """
    wire.require("duckdb", "numpy", "obstore")
    from rung.adapters.fleet.push import push as send
    from rung.adapters.fleet.store import Store

    work = wire.workplace({}, database=None, asks=False)
    prefix = _prefix(arguments.to, work.settings.fleet_prefix)
    store = Store(prefix)
    sent = [send(folder, store) for folder in _meant(work, arguments.recording, prefix)]
    if arguments.json:
        print_json(document("push", {"prefix": prefix, "sent": msgspec.to_builtins(sent)}))
        return EXIT_ANSWERED
    for one in sent:
        what = f"{one.objects} objects, {show_bytes(one.size_bytes)}" if one.objects else "nothing new"
        before = f"; {one.already} were there" if one.already else ""
        state = "somebody else is sending it" if one.busy else what + before
        print(f"Sent     {one.name} ({state}){'' if one.ended or one.busy else '; it goes on'}")
    print(f"Prefix   {prefix}\n\n  Next  rung find {prefix}")
    return EXIT_ANSWERED


def _prefix(flag: str | None, setting: str) -> str:
    prefix = (flag or setting).rstrip("/")
    if not prefix:
        raise UsageError(
            "there is nowhere to send to",
            why="Neither --to nor fleet.prefix names a prefix in an object store.",
            steps=(("Name one", "rung push --to s3://bucket/prefix"),),
        )
    if not prefix.startswith(PREFIXES):
        raise BadValue("--to", prefix, expected="a URL such as 's3://bucket/prefix' (s3://, gs://, az:// or file:///)")
    return prefix


def _meant(work: wire.Workplace, asked: list[str], prefix: str) -> list[Path]:
    """
    Return what is to be sent: what is named, else what waits, else the newest sealed recording.
    """
    from rung.adapters.fleet.sent import waiting
    from rung.adapters.packing import sources_of
    from rung.adapters.shelf import MANIFEST, RECORDINGS, is_fleet, told_by

    waits = [] if asked else waiting(work.data / RECORDINGS, prefix)
    meant = waits or sources_of(work.data, asked)
    for folder in meant:
        if not (folder / MANIFEST).is_file():
            raise RecordingMissing(str(folder), wanted="a recording; raw frames become one with `rung find`")
        if is_fleet(told_by(folder)):
            raise UsageError(
                f"{folder.name} is a fleet's: its rows lie in a store already",
                why="Its requests would count twice.",
                steps=(("Send one of this host", "rung push NAME"),),
            )
    return meant

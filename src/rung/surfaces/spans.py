"""
Read which time of a fleet is meant: `--since 2h`, `--from 2026-11-28T13:00 --until 2026-11-28T14:00`.

In        the flags
Out       the prefix or recording, and seconds since the epoch
Not here  what lies within (adapters/fleet/span.py)
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from rung import clock
from rung.config import PREFIXES, Settings
from rung.errors import BadValue, UsageError
from rung.units import UnitError, seconds


def asked_span(
    arguments: argparse.Namespace, recording: str | None, settings: Settings
) -> tuple[str | None, float | None, float | None]:
    """
    Return the recording or prefix that is asked for, and from when until when.

    Raises:
        UsageError: a time is given, and no fleet that it could be of.
    """
    since_s, until_s = _since_s(arguments), _moment_s("--until", arguments.until)
    if since_s is None and until_s is None:
        return recording, None, None
    asked = recording or settings.fleet_prefix or None
    if asked is None or not asked.startswith(PREFIXES):
        raise UsageError(
            "--since, --from and --until are of a fleet, and none is named",
            why="A recording on this disk is read as a whole.",
            steps=(("Name its prefix, here or as fleet.prefix", "rung find s3://bucket/prefix --since 2h"),),
        )
    if since_s is not None and until_s is not None and until_s <= since_s:
        raise UsageError(
            "--until is not after --from",
            why="There is nothing in between.",
            steps=(("For example", f"rung find {asked} --since 2h"),),
        )
    return asked, since_s, until_s


def _since_s(arguments: argparse.Namespace) -> float | None:
    if arguments.since is None:
        return _moment_s("--from", arguments.from_)
    if arguments.from_ is not None:
        raise UsageError(
            "--since and --from say the same thing", why="Nothing was read.", steps=(("See both", "rung find --help"),)
        )
    try:
        return clock.now_s() - seconds(arguments.since)
    except UnitError:
        raise BadValue("--since", arguments.since, expected="a time such as '2h'") from None


def _moment_s(flag: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue(
            flag,
            text,
            expected="a moment such as '2026-11-28T13:00', in UTC unless it says otherwise"
            + (", or otlp or jaeger" if flag == "--from" else ""),
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()

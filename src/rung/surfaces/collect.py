"""
`rung collect`: a collector of its own, beside apps that find its socket.

In        the flags
Out       recordings; an exit status
Not here  listening (adapters/collector/sidecar.py)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rung import wire
from rung.adapters.collector.views.asked import Asked, asked_for
from rung.adapters.fleet.pusher import Pusher
from rung.adapters.retention import Retention
from rung.config import Settings
from rung.errors import RungError
from rung.surfaces.shapes import document
from rung.surfaces.terminal import EXIT_ANSWERED, print_json


def retention_of(settings: Settings) -> Retention:
    """
    Return what of the recordings stays, as the settings have it.
    """
    return Retention(settings.retain_age_s, settings.retain_bytes, Path(settings.ledger_folder))


def views_if_any(settings: Settings, name: str) -> Asked | None:
    """
    Return which views of a recording there are to be; the app starts whatever is wrong with them.
    """
    try:
        return asked_for(settings, name)
    except RungError as problem:
        _say(f"rung: no metrics, and nothing is sent: {problem.message}\n")
        return None


def log_file_of(settings: Settings) -> Path | None:
    """
    Return the file that gets each line that the app logs, None where none is wanted.
    """
    return Path(settings.logs_file).resolve() if settings.logs_file else None


def collect(arguments: argparse.Namespace) -> int:
    """
    Collect until told to end, and say what became of it.
    """
    wire.require("duckdb", "numpy")
    from rung.adapters.collector.sidecar import collect as listen

    settings = wire.settings_of({"folder": arguments.folder, "record.rotate": arguments.rotate}, folder=Path.cwd())
    recordings = listen(
        Path(arguments.socket),
        folder=Path(settings.folder),
        name=arguments.name,
        rotate_s=settings.record_rotate_s,
        retention=retention_of(settings),
        say=_say,
        database=wire.database_of(settings, arguments.database),
        pusher=_pusher(settings),
        views=asked_for(settings, arguments.name),
        log_file=log_file_of(settings),
    )
    if arguments.json:
        content = {"socket": arguments.socket, "recordings": [str(path) for path in recordings]}
        print_json(document("collect", content))
    else:
        print(f"Sealed   {', '.join(str(path) for path in recordings) or 'nothing'}\n\n  Next  rung find")
    return EXIT_ANSWERED


def _pusher(settings: Settings) -> Pusher | None:
    if not settings.fleet_prefix:
        return None
    wire.require("obstore")
    return Pusher(settings.fleet_prefix, every_s=settings.fleet_every_s, say=_say)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()

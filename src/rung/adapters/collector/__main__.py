"""
Start the collector: `python -m rung.adapters.collector`.

In        the command line that adapters/launcher.py writes
Out       "listening" on standard output once it does; the recording
Not here  listening and writing themselves (listener.py, writer.py)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rung.adapters.collector import listener
from rung.adapters.collector.log_file import LogFile
from rung.adapters.collector.pieces import Pieces, Place
from rung.adapters.collector.samplers import database_given
from rung.adapters.collector.views.asked import taken
from rung.adapters.fleet.pusher import Pusher
from rung.adapters.retention import Retention, prune


def main() -> int:
    """
    Listen, say so, and record until the command has ended.
    """
    parser = argparse.ArgumentParser(prog="rung.adapters.collector")
    parser.add_argument("--folder", type=Path, required=True, help="the recording's own folder, which exists")
    parser.add_argument("--socket", required=True, help="path of the Unix socket, in a private folder")
    parser.add_argument("--lifeline", type=int, required=True, help="pipe that closes when the command has ended")
    parser.add_argument("--name", required=True)
    parser.add_argument("--hello-within", type=float, default=10.0, help="seconds before the first process is missed")
    parser.add_argument("--detach", action="store_true", help="go on as nobody's child")
    parser.add_argument("--retain-age", type=float, help="seconds that recordings beside this one are kept for")
    parser.add_argument("--retain-bytes", type=int, help="bytes that they may take with this one")
    parser.add_argument("--ledger", type=Path, help="the folder whose entries name recordings to keep")
    parser.add_argument("--prefix", help="where in an object store the recording is sent as well")
    parser.add_argument("--push-every", type=float, default=30.0, help="seconds between two times")
    parser.add_argument("--log-file", type=Path, help="the file that gets each line that the app logs")
    asked = parser.parse_args()
    views = taken()
    collector = listener.Listener(
        listener.listening(asked.socket),
        socket_path=Path(asked.socket),
        pieces=Pieces(
            Place(asked.folder, asked.name),
            say=listener.say,
            on_sealed=_retaining(asked),
            log_file=LogFile(asked.log_file, say=listener.say) if asked.log_file is not None else None,
        ),
        lifeline=asked.lifeline,
        hello_within_s=asked.hello_within,
    )
    collector.heed_signals()
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    if asked.detach and os.fork() != 0:
        # The command that is about to take the launcher's place must not find a child that it never had.
        os._exit(0)
    _let_go_of_stdout()
    os.nice(5)
    pusher = Pusher(asked.prefix, every_s=asked.push_every, say=listener.say) if asked.prefix else None
    return collector.run(database_given(), pusher, views)


def _retaining(asked: argparse.Namespace) -> Callable[[Path], None]:
    def prune_others(recording: Path) -> None:
        if asked.retain_age is not None:
            retention = Retention(asked.retain_age, asked.retain_bytes, asked.ledger)
            listener.say(prune(recording.parent.parent, retention, newest=recording.name).words())

    return prune_others


def _let_go_of_stdout() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())

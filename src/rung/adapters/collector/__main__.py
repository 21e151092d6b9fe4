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
from pathlib import Path

from rung.adapters.collector import listener


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
    asked = parser.parse_args()
    collector = listener.Listener(
        listener.listening(asked.socket),
        socket_path=Path(asked.socket),
        folder=asked.folder,
        lifeline=asked.lifeline,
        name=asked.name,
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
    return collector.run()


def _let_go_of_stdout() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main())

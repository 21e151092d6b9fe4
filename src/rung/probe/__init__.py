"""
What runs inside the user's app: it records requests and where they wait, and never gets in their way.

Start reading at core.py (what a request and a segment are); imports.py puts the instruments in place, one file for
each framework and driver; sender.py carries what is finished out of the process (outlet.py).

In        imports of the app, its requests and driver calls
Out       frames (frames.py) over the Unix socket named by RUNG_SOCKET, or into the folder named by RUNG_RAW
Not here  any decision about what the figures mean (steps/), any third-party import before the app's own

Rules     standard library only (msgspec in the sender's thread); never raises into the app; bounded memory;
          the user's call goes through exactly once, with its own result or exception
"""

from __future__ import annotations

import os

from rung.probe import core, imports, sender, successor

__all__ = ["start"]


def start() -> bool:
    """
    Put the instruments in place in this process; return whether it will be recorded.
    """
    if os.environ.get("RUNG") == "off" or not (os.environ.get("RUNG_SOCKET") or os.environ.get("RUNG_RAW")):
        return False
    if core.state.started:
        return True
    core.state.started = True
    imports.install()
    sender.install()
    successor.install()
    return True

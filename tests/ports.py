"""
Ports of 127.0.0.1 for servers that are about to be started, given to nobody else until they listen.

A port that is looked up and let go may be another test's before the server binds it, and the wrong server answers.
So a socket stays bound to it, and does not listen: the kernel then gives the port to nobody who asks for any, and to
nobody who connects; a server binds it all the same, since servers set SO_REUSEADDR.  Only Linux has it so; elsewhere
the port is let go.

In        nothing
Out       a port
Not here  ports that the started server chooses by itself (port 0)
"""

from __future__ import annotations

import socket
import sys
from collections import deque

# A server takes its port long before so many more were asked for.
HELD_MAX = 64
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """
    Return a port that nothing listens on, and that nobody else is given.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port = int(holder.getsockname()[1])
    if sys.platform != "linux":
        holder.close()
        return port
    _held.append(holder)
    if len(_held) > HELD_MAX:
        _held.popleft().close()
    return port

"""
A port that was given out is nobody else's until a server listens on it.
"""

from __future__ import annotations

import socket
import sys

import pytest

from tests.ports import free_port


@pytest.mark.skipif(sys.platform != "linux", reason="a port is held on Linux alone")
def test_a_port_given_out_is_given_to_nobody_else_and_a_server_takes_it() -> None:
    port = free_port()
    others = [socket.socket() for _ in range(200)]
    try:
        for other in others:
            other.bind(("127.0.0.1", 0))
        assert port not in {other.getsockname()[1] for other in others}
        with socket.socket() as nobody, pytest.raises(ConnectionRefusedError):
            nobody.connect(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass
    finally:
        for other in others:
            other.close()
    with socket.create_server(("127.0.0.1", port)):
        pass

"""
Requests over HTTP/1.1 to a server on this machine, with as little of their own as can be.

In        a port; a path and how often, or for how long and over how many connections
Out       how many were answered; anything but 200 is an error
Not here  the server's CPU (processes.py)
"""

from __future__ import annotations

import selectors
import socket

from rung import clock

ANSWER_S_MAX = 30.0
RECEIVE_BYTES = 65_536


class Client:
    """
    Asks one server.
    """

    def __init__(self, port: int, *, keeps_alive: bool) -> None:
        self._port = port
        self._keeps_alive = keeps_alive
        self._idle: list[socket.socket] = []

    def ask(self, path: str, requests: int) -> bytes:
        """
        Ask so many times, one after the other, and return the last body.
        """
        request, body = self._request(path), b""
        for _ in range(requests):
            stream = self._connected()
            stream.sendall(request)
            held = b""
            while (answered := _body(held)) is None:
                held += _received(stream)
            body = answered
            self._done(stream)
        return body

    def saturate(self, path: str, connections: int, lasts_s: float) -> tuple[int, float]:
        """
        Keep so many requests under way for a time; return how many were answered within it, and how long it was.
        """
        request, answered = self._request(path), 0
        with selectors.DefaultSelector() as selector:
            held: dict[socket.socket, bytes] = {}

            def begin() -> None:
                stream = self._connected()
                stream.sendall(request)
                held[stream] = b""
                selector.register(stream, selectors.EVENT_READ)

            begun_s = clock.monotonic_s()
            for _ in range(connections):
                begin()
            while held:
                ready = selector.select(ANSWER_S_MAX)
                assert ready, "the server does not answer"
                for key, _ in ready:
                    stream = key.fileobj
                    assert isinstance(stream, socket.socket)
                    held[stream] += _received(stream)
                    if _body(held[stream]) is None:
                        continue
                    selector.unregister(stream)
                    del held[stream]
                    self._done(stream)
                    answered += 1
                    if clock.monotonic_s() - begun_s < lasts_s:
                        begin()
            return answered, clock.monotonic_s() - begun_s

    def close(self) -> None:
        """
        Close what is open.
        """
        while self._idle:
            self._idle.pop().close()

    def _request(self, path: str) -> bytes:
        return (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAccept: application/json, text/html\r\n"
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\r\n"
        ).encode()

    def _connected(self) -> socket.socket:
        if self._idle:
            return self._idle.pop()
        stream = socket.create_connection(("127.0.0.1", self._port), ANSWER_S_MAX)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def _done(self, stream: socket.socket) -> None:
        if self._keeps_alive:
            self._idle.append(stream)
        else:
            stream.close()


def _received(stream: socket.socket) -> bytes:
    data = stream.recv(RECEIVE_BYTES)
    if not data:
        raise RuntimeError("the server closed the connection before its answer was whole")
    return data


def _body(held: bytes) -> bytes | None:
    head, found, body = held.partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {head.partition(chr(13).encode())[0]!r}")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return body if len(body) >= int(length) else None

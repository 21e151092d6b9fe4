"""
Real HTTP servers in a thread, which remember what they were asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rung import clock


@dataclass
class Site:
    """
    A real HTTP server; *answer* is given method, path, headers and body, and returns a status and a delay.
    """

    answer: Callable[[str], tuple[int, float]]
    url: str = ""
    seen: list[tuple[str, dict[str, str], bytes, float]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.seen.append((head[0], headers, body, clock.now_s()))
                status, delay_s = self.answer(head[0].split()[1])
                await asyncio.sleep(delay_s)
                if not status:
                    break
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok".encode())
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.contextmanager
def site(answer: Callable[[str], tuple[int, float]] = lambda _: (200, 0.0)) -> Iterator[Site]:
    served = Site(answer)
    ready, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        server = await asyncio.start_server(served.serve, "127.0.0.1", 0, backlog=512)
        served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await end.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the round after

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()

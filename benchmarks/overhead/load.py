"""
Load at a fixed rate from a process of its own: `python -m benchmarks.overhead.load`.

In        one JSON document a line: {"port", "path", "rate_per_s", "requests"}
Out       one a line, after the last answer: {"answered", "late_s"}
Not here  measuring the server: it tells its CPU itself
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

CONNECTIONS = 8  # fewer than the app has connections to its database


async def _one(streams: Any, request: bytes) -> bool:
    reader, writer = streams
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length_bytes = next(int(row.split(b":")[1]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-le"))
    await reader.readexactly(length_bytes)
    return bool(head.startswith(b"HTTP/1.1 200"))


async def _load(port: int, path: str, rate_per_s: float, requests: int) -> dict[str, float]:
    idle: asyncio.Queue[Any] = asyncio.Queue()
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    for streams in opened:
        idle.put_nowait(streams)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\r\n".encode()
    late_s = 0.0
    answered = 0

    async def send(streams: Any) -> None:
        nonlocal answered
        good = await _one(streams, request)
        answered += good
        idle.put_nowait(streams)

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(requests):
            due = begun + number / rate_per_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            streams = await idle.get()
            late_s = max(late_s, time.monotonic() - due)
            group.create_task(send(streams))
    for _, writer in opened:
        writer.close()
    return {"answered": answered, "late_s": late_s}


def main() -> None:
    """
    Send what each line asks for.
    """
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_load(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()

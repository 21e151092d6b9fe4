"""
A mail server for trying the shop out: takes every message after a delay, as a real one does, and keeps none.

``python -m shop.mailserver --port 1025 --delay 0.25``; ``--port 0`` takes a free port and prints it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

from aiosmtpd.smtp import SMTP, Envelope, Session


class Slow:
    """
    Accepts each message after *delay_s* seconds.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """
        Answer the end of a message.
        """
        await asyncio.sleep(self.delay_s)
        return "250 Message accepted for delivery"


async def serve(*, port: int, delay_s: float) -> None:
    """
    Serve on 127.0.0.1 until SIGTERM or SIGINT.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    handler = Slow(delay_s)
    # Without hostname aiosmtpd asks the name server for our own name, for each connection.
    server = await loop.create_server(lambda: SMTP(handler, hostname="mail.example", loop=loop), "127.0.0.1", port)
    if port == 0:
        print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m shop.mailserver", description="A mail server that takes its time.")
    parser.add_argument("--port", type=int, default=1025, help="0 takes a free port and prints it (default: 1025)")
    parser.add_argument("--delay", type=float, default=0.25, metavar="SECONDS", help="before a message is accepted")
    asked = parser.parse_args()
    asyncio.run(serve(port=asked.port, delay_s=asked.delay))


if __name__ == "__main__":
    main()

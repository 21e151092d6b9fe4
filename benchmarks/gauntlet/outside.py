"""
What is outside of the apps: an HTTP service and a mail server that take their time.

In        --mail-delay, seconds
Out       their two ports, on one line of standard output; it ends with its standard input
Not here  the apps (fastapi_app.py, flask_app.py, django_app.py)
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP

HOST = "127.0.0.1"


class Slow:
    """
    Takes each mail after a delay, and throws it away.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """
        Take a mail.
        """
        await asyncio.sleep(self.delay_s)
        return "250 OK"


async def _wait(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.match_info["delay"]))
    return web.json_response({"price": 3})


async def serve(mail_delay_s: float) -> None:
    """
    Serve until standard input ends.
    """
    loop = asyncio.get_running_loop()
    app = web.Application()
    app.router.add_get("/wait/{delay}", _wait)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    slow = Slow(mail_delay_s)
    mail = await loop.create_server(lambda: SMTP(slow, loop=loop), HOST, 0)
    print(runner.addresses[0][1], mail.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    mail.close()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--mail-delay", type=float, default=0.15)
    asyncio.run(serve(parser.parse_args().mail_delay))

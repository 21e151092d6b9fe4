"""
The smallest app, for tests of processes rather than of what is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def me(request):
    return JSONResponse({"pid": os.getpid(), "parent": os.getppid()})


async def slow(request):
    await asyncio.sleep(0.4)
    logging.getLogger("small").warning("%s had to wait", request.path_params["name"])
    return JSONResponse({})


app = Starlette(routes=[Route("/me/{name}", me), Route("/slow/{name}", slow)])

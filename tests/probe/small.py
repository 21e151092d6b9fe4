"""
The smallest app, for tests of processes rather than of what is recorded.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def me(request):
    return JSONResponse({"pid": os.getpid(), "parent": os.getppid()})


app = Starlette(routes=[Route("/me/{name}", me)])

"""
A service that calls another one in each way that carries the trace, and logs in each way that is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import aiohttp
import httpx
import requests
import structlog
import urllib3
from fastapi import BackgroundTasks, FastAPI, Request

UPSTREAM = os.environ.get("UPSTREAM", "")
OWN = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"

SAID = Path(os.environ.get("APP_EVENTS", os.devnull)).open("a", encoding="utf-8")  # noqa: SIM115 - for as long as it runs

# As an app has it: handlers and a format of its own.
logging.basicConfig(
    level=logging.INFO, filename=os.environ.get("APP_LOG"), format="%(trace_id)s %(span_id)s %(levelname)s %(message)s"
)
structlog.configure(
    processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
    logger_factory=structlog.WriteLoggerFactory(file=SAID),
)
logger = logging.getLogger("shop")
events = structlog.get_logger()

app = FastAPI()


@app.get("/seen")
async def seen(request: Request):
    logger.info("asked by %s", request.headers.get("traceparent"))
    return {name: request.headers.getlist(name) for name in ("traceparent", "tracestate")}


@app.get("/httpx")
async def with_httpx():
    logger.info("calling %s", UPSTREAM)  # MARK calling
    async with httpx.AsyncClient() as client:
        first = await client.get(f"{UPSTREAM}/seen")
        second = await client.get(f"{UPSTREAM}/seen", headers={"traceparent": OWN})
    return [first.json(), second.json(), "traceparent" in first.request.headers]


@app.get("/sync")
def with_sync_clients():
    request = httpx.Request("GET", f"{UPSTREAM}/seen")
    with httpx.Client() as client:
        by_httpx = client.send(request).json()
    pool = urllib3.PoolManager()
    by_urllib3 = pool.request("GET", f"{UPSTREAM}/seen", headers={"TraceParent": OWN}).json()
    plain = pool.request("GET", f"{UPSTREAM}/seen").json()
    by_requests = requests.get(f"{UPSTREAM}/seen", timeout=10).json()
    own = requests.get(f"{UPSTREAM}/seen", headers={"traceparent": OWN}, timeout=10).json()
    return [by_httpx, by_urllib3, plain, by_requests, own, "traceparent" in request.headers]


@app.get("/aiohttp")
async def with_aiohttp():
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{UPSTREAM}/seen") as response:
            plain = await response.json()
        async with session.get(f"{UPSTREAM}/seen", headers={"traceparent": OWN}) as response:
            own = await response.json()
    async with (
        aiohttp.ClientSession(headers={"traceparent": OWN}) as session,
        session.get(f"{UPSTREAM}/seen") as response,
    ):
        of_session = await response.json()
    return [plain, own, of_session]


@app.get("/later")
async def later(tasks: BackgroundTasks):
    tasks.add_task(_afterwards)
    return {}


async def _afterwards() -> None:
    logger.warning("afterwards")
    await asyncio.sleep(0.01)
    async with httpx.AsyncClient() as client:
        await client.get(f"{UPSTREAM}/seen")


@app.get("/logging")
async def logs():
    name = "secret-"[:-1]  # made here: no constant
    logger.info("user %s", name)
    logger.info(f"user {name}")  # noqa: G004 - as people write it
    logger.debug("below the level")
    _through("in another function")
    try:
        raise LookupError(name)
    except LookupError:
        logger.exception("failed for %s", name)  # MARK failed
    logger.info("with ids of its own", extra={"trace_id": "mine"})
    events.info("event", user=name)
    events.info(f"event of {name}")
    await events.awarning("awaited", user=name)
    events.bind(trace_id="bound").info("bound")
    return {}


def _through(text: str) -> None:
    logger.error(text)


@app.get("/many/{number}")
async def many(number: int):
    for _ in range(number):
        logger.info("again")
    return {}

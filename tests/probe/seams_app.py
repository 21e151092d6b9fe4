"""
An app with pages that wait and compute at several seams, served for real.
"""

from __future__ import annotations

import asyncio
import os
import time

import httpx
import jinja2
import psycopg2
from fastapi import FastAPI, Request

DATABASE = os.environ["DATABASE_URL"]
BUSY_S = 0.1
SLEPT_S = 0.1

app = FastAPI()
template = jinja2.Environment(autoescape=True).from_string("{{ busy() }} {{ asked() }}")


def busy() -> str:
    until = time.thread_time() + BUSY_S
    while time.thread_time() < until:
        pass
    return "done"


@app.get("/page/{name}")
def page(name: str):
    with psycopg2.connect(DATABASE) as connection, connection.cursor() as cursor:

        def asked() -> str:
            cursor.execute("SELECT pg_sleep(%s)", (SLEPT_S,))
            return str(cursor.rowcount)

        shown = template.render(busy=busy, asked=asked)  # MARK page
        time.sleep(SLEPT_S)
    connection.close()
    return {"shown": shown}


@app.get("/slow")
async def slow():
    await asyncio.sleep(SLEPT_S)
    return {}


@app.get("/calls")
async def calls(request: Request):
    async with httpx.AsyncClient(base_url=str(request.base_url)) as client:
        answers = await asyncio.gather(client.get("/slow"), client.get("/slow"))
        last = await client.get("/slow")
    return [answer.status_code for answer in (*answers, last)]

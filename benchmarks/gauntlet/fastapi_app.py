"""
The async app: FastAPI on asyncpg, under uvicorn; which of its faults are in is said by the environment.

In        GAUNTLET_FAULTS, and the settings below
Out       the app
Not here  which scenario has which fault (scenarios.py)
"""

# ruff: noqa: D103 - a page says what it is by its route

from __future__ import annotations

import asyncio
import json
import os
import smtplib
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import anyio.to_thread
import asyncpg
import httpx
import psycopg_pool
from fastapi import BackgroundTasks, FastAPI, Response

from benchmarks.gauntlet import statements as text

FAULTS = frozenset(os.environ.get("GAUNTLET_FAULTS", "").split(","))
POOL = int(os.environ.get("POOL", "10"))
THREADS = int(os.environ.get("THREADS", "40"))
OUTSIDE_S = float(os.environ.get("OUTSIDE_S", "0.05"))
STATEMENT_S = float(os.environ.get("STATEMENT_S", "0.004"))
ROUNDS = int(os.environ.get("ROUNDS", "60000"))
ROWS = int(os.environ.get("ROWS", "40"))
DATABASE = os.environ["DATABASE_URL"]
OUTSIDE = os.environ["OUTSIDE_URL"]

kept: dict[str, tuple[float, Any]] = {}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """
    Hold the pools and the client.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    app.state.threaded = psycopg_pool.ConnectionPool(DATABASE, min_size=POOL, max_size=POOL, open=False)
    if "threads" in os.environ.get("USES", ""):
        app.state.threaded.open(wait=True)
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with (
        asyncpg.create_pool(DATABASE, min_size=min(POOL, 10), max_size=POOL) as app.state.pool,
        httpx.AsyncClient(base_url=OUTSIDE, limits=limits, timeout=20) as app.state.client,
    ):
        yield
    app.state.threaded.close()


app = FastAPI(lifespan=lifespan)


def rows_of(records: list[asyncpg.Record]) -> list[dict[str, str]]:
    """
    Return rows as JSON takes them.
    """
    return [{name: str(value) for name, value in record.items()} for record in records]


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"up": True}


@app.get("/orders/{customer}")
async def orders(customer: int) -> list[dict[str, str]]:
    return rows_of(await app.state.pool.fetch(text.ORDERS.dollar, customer))


@app.get("/recent/{customer}")
async def recent(customer: int) -> list[dict[str, str]]:
    return rows_of(await app.state.pool.fetch(text.RECENT.dollar, customer))


@app.get("/cart/{cart}")
async def cart(cart: int) -> list[dict[str, str]]:
    async with app.state.pool.acquire() as connection:
        if "nplusone" not in FAULTS:
            return rows_of(await connection.fetch(text.CART_JOINED.dollar, cart))
        lines = await connection.fetch(text.CART.dollar, cart)
        return rows_of([await connection.fetchrow(text.PRODUCT.dollar, line["product_id"]) for line in lines])


@app.get("/customers/{customer}")
async def customer(customer: int) -> dict[str, int]:
    return {"customer": await app.state.pool.fetchval(text.ONE_CUSTOMER.dollar, customer)}


@app.get("/visits/{day}")
async def visits(day: int) -> list[dict[str, str]]:
    return rows_of(await app.state.pool.fetch(text.VISITS.dollar, "robot", day))


@app.get("/checked/{number}")
async def checked(number: int) -> list[int]:
    async with app.state.pool.acquire() as connection:
        return [await connection.fetchval(one.dollar, number, STATEMENT_S) for one in text.CHECKS]


@app.post("/purchases/{product}")
async def purchase(product: int) -> list[int]:
    wanted = 1 if "onerow" in FAULTS else product
    async with app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(text.PURCHASE.dollar, wanted, product)
        if "heldlock" in FAULTS:
            await connection.execute(text.TAKE.dollar, wanted)
        answers = [await connection.fetchval(one.dollar, product, STATEMENT_S) for one in text.CHECKS]
        if "heldlock" not in FAULTS:
            await connection.execute(text.TAKE.dollar, wanted)
    return answers


@app.get("/quotes/{number}")
async def quote(number: int) -> dict[str, Any]:
    if "heldpool" in FAULTS:
        async with app.state.pool.acquire() as connection:
            found = await connection.fetchrow(text.PRODUCT.dollar, number)
            answer = await app.state.client.get(f"/wait/{OUTSIDE_S}")
    else:
        found = await app.state.pool.fetchrow(text.PRODUCT.dollar, number)
        answer = await app.state.client.get(f"/wait/{OUTSIDE_S}")
    return {"product": found["name"], **answer.json()}


@app.get("/products/{number}")
async def product(number: int) -> dict[str, str]:
    if "connect" not in FAULTS:
        return rows_of([await app.state.pool.fetchrow(text.PRODUCT.dollar, number)])[0]
    connection = await asyncpg.connect(DATABASE)
    try:
        return rows_of([await connection.fetchrow(text.PRODUCT.dollar, number)])[0]
    finally:
        await connection.close()


def score_of(number: int, rounds: int) -> int:
    """
    Compute for a while.
    """
    for step in range(rounds):
        number = (number * 31 + step) % 1_000_003
    return number


@app.get("/scores/{number}")
async def score(number: int) -> dict[str, int]:
    found = await app.state.pool.fetchval(text.ONE_CUSTOMER.dollar, number)
    return {"customer": found, "score": score_of(number, ROUNDS if "hot" in FAULTS else 500)}


@app.get("/blocked/{number}")
async def blocked(number: int) -> dict[str, Any]:
    found = await app.state.pool.fetchval(text.ONE_CUSTOMER.dollar, number)
    if "sleeping" in FAULTS:
        time.sleep(OUTSIDE_S)  # noqa: ASYNC251 - the fault
    elif "blocking" in FAULTS:
        urllib.request.urlopen(f"{OUTSIDE}/wait/{OUTSIDE_S}").read()  # noqa: ASYNC210 - the fault
    else:
        await asyncio.sleep(OUTSIDE_S)
    return {"customer": found}


@app.get("/sheets/{number}")
def sheet(number: int) -> list[int]:
    with app.state.threaded.connection() as connection:
        return [connection.execute(one.percent, (number, STATEMENT_S)).fetchone()[0] for one in text.CHECKS]


def send_mail(customer: int) -> None:
    """
    Send a mail, which takes as long as the mail server takes.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", "one@example.com", f"Hello {customer}"
    message.set_content("Thank you.")
    with smtplib.SMTP("127.0.0.1", int(os.environ["SMTP_PORT"])) as server:
        server.send_message(message)


@app.post("/invitations/{customer}")
async def invite(customer: int, background: BackgroundTasks) -> dict[str, int]:
    found = await app.state.pool.fetchval(text.ONE_CUSTOMER.dollar, customer)
    if "mail" in FAULTS:
        await asyncio.to_thread(send_mail, found)
    else:
        background.add_task(send_mail, found)
    return {"customer": found}


@app.get("/bestsellers")
async def bestsellers() -> Any:
    until_s, answer = kept.get("bestsellers", (0.0, None))
    if "repeated" in FAULTS or until_s < time.monotonic():
        answer = rows_of(await app.state.pool.fetch(text.BESTSELLERS.dollar))
        kept["bestsellers"] = (time.monotonic() + 60, answer)
    return answer


@app.get("/export")
async def export() -> Response:
    limit = ROWS if "large" in FAULTS else 20
    rows = await app.state.pool.fetch(text.EXPORT.dollar, limit)
    return Response(json.dumps(rows_of(rows), indent=1), media_type="application/json")


@app.get("/report")
async def report() -> list[dict[str, str]]:
    await asyncio.sleep(0.8)
    return rows_of(await app.state.pool.fetch(text.BESTSELLERS.dollar))


async def tell_outside() -> None:
    """
    Tell somebody outside, after the answer.
    """
    await app.state.client.get("/wait/0.4")


@app.get("/told/{customer}")
async def told(customer: int, background: BackgroundTasks) -> list[dict[str, str]]:
    background.add_task(tell_outside)
    return rows_of(await app.state.pool.fetch(text.ORDERS.dollar, customer))

"""
An app with one endpoint for each thing that the probe has to get right.  Lines are asked for by their marks.
"""

from __future__ import annotations

import asyncio
import os
import smtplib
import time
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import psycopg_pool
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

DATABASE = os.environ["DATABASE_URL"]
engine = create_async_engine(DATABASE.replace("postgresql://", "postgresql+asyncpg://"), pool_size=1, max_overflow=0)
released = asyncio.Event()
holding: list[int] = []


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with (
        asyncpg.create_pool(DATABASE, min_size=2, max_size=2) as pool,
        psycopg_pool.AsyncConnectionPool(DATABASE, min_size=1, max_size=1) as other,
    ):
        app.state.pool = pool
        app.state.other = other
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def passing(request: Request, call_next):
    return await call_next(request)


@app.get("/orders/{customer_id}")
async def orders(customer_id: int):
    async with AsyncSession(engine) as session:
        statement = text("SELECT n, 'a secret' FROM generate_series(1, 3) n WHERE n < :id -- private")
        rows = (await session.execute(statement, {"id": customer_id})).all()  # MARK orders
        await session.commit()
    return {"rows": len(rows)}


@app.get("/hold")
async def hold():
    holding.append(1)
    async with AsyncSession(engine) as session:
        await session.execute(text("SELECT 1 AS held"))
        await released.wait()
    return {}


@app.get("/holding")
async def how_many_hold():
    return len(holding)


@app.get("/release")
async def release():
    released.set()
    return {}


@app.get("/asyncpg/gather")
async def gather(request: Request):
    async def one(number: int):
        async with request.app.state.pool.acquire() as connection:
            return await connection.fetchval("SELECT $1::int", number)  # MARK gather

    return await asyncio.gather(one(1), one(2))


@app.get("/asyncpg/write")
async def write(request: Request):
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute("CREATE TEMPORARY TABLE basket (item int) ON COMMIT DROP")
        await connection.execute("INSERT INTO basket VALUES (1), (2), (3)")
        prepared = await connection.prepare("SELECT item FROM basket WHERE item > $1")
        return [row["item"] for row in await prepared.fetch(1)]


@app.get("/psycopg/async")
async def psycopg_async(request: Request):
    async with request.app.state.other.connection() as connection:
        cursor = await connection.execute("SELECT %s::int + 1", [41])  # MARK psycopg
        return await cursor.fetchone()


@app.get("/psycopg/sync")
def psycopg_sync():
    with psycopg.connect(DATABASE) as connection:
        return connection.execute("SELECT n FROM generate_series(1, 4) n WHERE n IN (1, 2, 3)").fetchall()


@app.get("/wait")
async def wait():
    await asyncio.sleep(0.1)
    return {}


@app.get("/compute")
async def compute():
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    return {}


@app.get("/compute/thread")
def compute_in_thread():
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    return {}


@app.get("/mail")
async def mail():
    def send():
        with smtplib.SMTP("127.0.0.1", int(os.environ["SMTP_PORT"])) as server:
            server.sendmail("shop@example.org", ["you@example.org"], "Subject: thanks\n\nbye")

    await asyncio.to_thread(send)
    return {}


@app.get("/background")
async def background(request: Request, tasks: BackgroundTasks):
    async def later():
        async with request.app.state.pool.acquire() as connection:
            await connection.execute("SELECT pg_sleep(0.1)")

    tasks.add_task(later)
    return {"said": "at once"}


@app.get("/boom")
async def boom():
    raise ValueError("a secret of the app")  # MARK boom


@app.exception_handler(KeyError)
async def handled(request: Request, error: KeyError):
    return JSONResponse({"missing": str(error)}, status_code=418)


@app.get("/handled")
async def raises_handled():
    raise KeyError("tea")


@app.get("/stream")
async def stream():
    async def parts():
        for number in range(3):
            yield f"{number}\n"
            await asyncio.sleep(0.02)

    return StreamingResponse(parts())


@app.post("/echo")
async def echo(request: Request):
    return {"got": (await request.body()).decode()}


inner = APIRouter(prefix="/items/{item_id}")


@inner.get("/parts")
async def parts_of(shop: str, item_id: int):
    return {"shop": shop, "item": item_id}


outer = APIRouter(prefix="/shops/{shop}")
outer.include_router(inner)
app.include_router(outer, prefix="/api")


async def hello(request):
    return PlainTextResponse(f"hello {request.path_params['name']}")


mounted = Starlette(routes=[Mount("/deep/{level:int}", routes=[Route("/hello/{name}", hello)])])
app.mount("/mounted/{tenant}", mounted)

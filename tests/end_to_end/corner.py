"""
A corner shop: the smallest app that can be slow in the usual way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """
    Hold a pool of two connections.
    """
    if "DATABASE_URL" not in os.environ:
        yield
        return
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=2) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)

ORDERS_OF = "SELECT id, total FROM orders WHERE customer_id = $1 ORDER BY placed_at DESC LIMIT 10"


@app.get("/customers/{customer_id}/orders")
async def orders(customer_id: int) -> list[dict[str, int]]:
    """
    Return a customer's latest orders.
    """
    return [dict(row) for row in await app.state.pool.fetch(ORDERS_OF, customer_id)]


@app.get("/orders/{order_id}")
async def order(order_id: int) -> dict[str, int]:
    """
    Return one order.
    """
    row = await app.state.pool.fetchrow("SELECT id, total FROM orders WHERE id = $1", order_id)
    return dict(row or {})


@app.get("/steady")
async def steady() -> str:
    """
    Take the same time whatever the machine does.
    """
    await asyncio.sleep(0.3)
    return "steady"

"""
FastAPI and asyncpg: orders of a customer are looked up without an index. With TRACES it has OpenTelemetry's SDK.
"""

import os
from contextlib import asynccontextmanager, nullcontext

import asyncpg
from fastapi import FastAPI
from opentelemetry.trace import SpanKind
from tracing import tracer

TRACER = tracer("orders")


def span(name, kind, **attributes):
    if TRACER is None:
        return nullcontext()
    told = {key.replace("_", "."): value for key, value in attributes.items()}
    return TRACER.start_as_current_span(name, kind=kind, attributes=told)


class Traced:
    """A server span a request, as OpenTelemetry's ASGI instrumentation makes it."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or TRACER is None:
            await self.app(scope, receive, send)
            return
        with TRACER.start_as_current_span(scope["method"], kind=SpanKind.SERVER) as server:

            async def noted(message):
                if message["type"] == "http.response.start":
                    server.set_attribute("http.response.status_code", message["status"])
                await send(message)

            server.set_attribute("http.request.method", scope["method"])
            server.set_attribute("url.path", scope["path"])
            await self.app(scope, receive, noted)
            server.set_attribute("http.route", scope["route"].path)
            server.update_name(f"{scope['method']} {scope['route'].path}")


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=2) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(Traced)


async def fetch(text, *values):
    told = {"db_system_name": "postgresql", "db_query_text": text, "server_address": "localhost"}
    with span("SELECT orders", SpanKind.CLIENT, **told):
        return await app.state.pool.fetch(text, *values)


@app.get("/customers/{customer_id}/orders")
async def orders_of(customer_id: int):
    return len(await fetch("SELECT id FROM orders WHERE customer_id = $1 ORDER BY id", customer_id))


@app.get("/orders/{order_id}")
async def order(order_id: int):
    return len(await fetch("SELECT id, note FROM orders WHERE id = $1", order_id))

"""
An app with spans of its own, in a middleware and in pages, and of a library that is instrumented for OpenTelemetry.
"""

from __future__ import annotations

import asyncio
import json
import os

from opentelemetry import propagate, trace
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

if os.environ.get("WITH_SDK"):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

tracer = trace.get_tracer("shop")
asgi = trace.get_tracer("opentelemetry.instrumentation.asgi")
SERVER, CLIENT = trace.SpanKind.SERVER, trace.SpanKind.CLIENT


class Instrumented:
    """As OpenTelemetry's middleware for ASGI does it."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def sending(message):
            with asgi.start_as_current_span("GET / http send"):
                pass
            await send(message)

        with (
            asgi.start_as_current_span("GET /", kind=SERVER),
            tracer.start_as_current_span("middleware"),
        ):
            await self.app(scope, receive, sending)


async def order(request):
    sent = {}
    secret = os.environ.get("SECRET", "")
    with tracer.start_as_current_span("order", attributes={"user.email": secret, "http.route": secret}) as span:
        span.add_event(secret, {"a": secret})
        propagate.inject(sent)
        with tracer.start_as_current_span("wait"):  # MARK span
            await asyncio.sleep(0.01)
        text = f"SELECT * FROM people WHERE email = '{secret}'"
        with tracer.start_as_current_span(
            "SELECT", kind=CLIENT, attributes={"db.system.name": "postgresql", "db.query.text": text}
        ):
            await asyncio.sleep(0.01)
        try:
            with tracer.start_as_current_span("charge") as charge:
                charge.set_status(trace.Status(trace.StatusCode.ERROR, secret))
                raise ValueError(secret)
        except ValueError:
            pass
    return JSONResponse({"sent": sent.get("traceparent")})


async def exported(request):
    return JSONResponse([json.loads(span.to_json())["name"] for span in exporter.get_finished_spans()])


app = Starlette(
    routes=[Route("/orders/{number}", order), Route("/exported", exported)], middleware=[Middleware(Instrumented)]
)

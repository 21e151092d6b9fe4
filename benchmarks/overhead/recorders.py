"""
The recorders around the benchmark's apps, each set up as its documentation advises for the app's framework.

Peers keep nothing: OpenTelemetry has a batch processor and an exporter that counts, Sentry a transport that counts, so
that the encoding and sending which rung's figure has are missing from theirs.

In        the contender's name, the framework of its app; for rung what `rung record` puts into the environment
Out       the recorder set up; a function that sends what is held back and tells how many things were kept
Not here  the apps (fastapi_app.py, django_app.py, stub_app.py), versions of the peers (peers.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Flush = Callable[[], int]  # sends what is held back, and returns how many things the recorder kept so far


def recorder(name: str, framework: str) -> Flush:
    """
    Set up the recorder of that name, before the app is imported.
    """
    if name == "otel":
        return _opentelemetry(framework)
    if name.startswith("sentry"):
        return _sentry(framework, 1.0 if name == "sentry-on" else None)
    if name.startswith("rung"):
        return _rung(name)
    return lambda: 0


def _rung(name: str) -> Flush:
    from rung.probe import core, guard, keeping, sender

    assert core.state.started, "the bootstrap of `rung record` did not run"
    if name in {"rung-plain", "rung-digests"}:
        # In a loop that does nothing else the recorder would soon be too large a share, and shed what is measured.
        guard.CPU_SHARE_MAX = math.inf
        keeping.READS_PER_S_MAX = 1 << 62

    def flush() -> int:
        sender.flush()
        return 0  # what it kept is in the recording (processes.py)

    return flush


def _opentelemetry(framework: str) -> Flush:
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    kept = 0

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            nonlocal kept
            kept += len(spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider(resource=Resource.create({"service.name": "overhead"}))
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    trace.set_tracer_provider(provider)
    if framework == "django":
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

        DjangoInstrumentor().instrument()
        PsycopgInstrumentor().instrument()
    else:
        from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor().instrument()
        AsyncPGInstrumentor().instrument()

    def flush() -> int:
        provider.force_flush()
        return kept

    return flush


def _sentry(framework: str, sample_rate: float | None) -> Flush:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    kept = 0

    class Nowhere(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            nonlocal kept
            kept += 1

    integrations: list[Any] = []
    if framework == "fastapi":  # its Django integration sees the statements too, and comes by itself
        from sentry_sdk.integrations.asyncpg import AsyncPGIntegration

        integrations.append(AsyncPGIntegration())
    sentry_sdk.init(
        dsn="https://public@o1.ingest.example.invalid/1",
        traces_sample_rate=sample_rate,
        integrations=integrations,
        transport=Nowhere,
    )

    def flush() -> int:
        sentry_sdk.flush()
        return kept

    return flush

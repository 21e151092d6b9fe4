"""
An app that has OpenTelemetry's SDK keeps it, whenever it sets it; rung sees the same spans, and nothing is warned of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.probe.player import ROOT

# Each runs in a process of its own: a TracerProvider is set once.
BEGIN = """
import contextvars, json, logging, sys, threading, time
from rung.probe import core, imports
imports.install()
from tests.probe.rows import unpacked

def within(scene):
    request = core.Request("GET")
    def run():
        core.current.set(core.Scope(request, request))
        request.stepping, request.mark = True, time.perf_counter()
        return scene()
    saw = contextvars.Context().run(run)
    core.freeze(request)
    parts = [f"{one['seam']} {one['name']}" for one in unpacked(request.row) if one["seam"] != "threads"]
    return saw, parts, request.row

def said(**found):
    print(json.dumps({**found, "failures": core.state.failed_at}))
"""
SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
def provider(**options):
    made = TracerProvider(**options)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made
def exported():
    return [span.name for span in exporter.get_finished_spans()]
"""


def run(code: str, begin: str = BEGIN, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", begin + textwrap.dedent(code)],
        env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "" == done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert {} == told.pop("failures", {})
    return told


def test_without_opentelemetry_nothing_of_it_is_loaded() -> None:
    said = run("""
        names = [name for name in sys.modules if "opentelemetry" in name or "otel" in name or name.endswith(".spans")]
        said(names=names)
        """)
    assert [] == said["names"]


def test_the_api_alone_is_recorded_and_reports_no_provider_of_the_apps() -> None:
    said = run("""
        from opentelemetry import trace
        def scene():
            with trace.get_tracer("a").start_as_current_span("work"):
                pass
        _, parts, _ = within(scene)
        said(parts=parts, unset=trace._TRACER_PROVIDER is None,
             proxy=isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider))
        """)
    assert {"parts": ["cpu work"], "unset": True, "proxy": True} == said


@pytest.mark.parametrize("early", ["", "from opentelemetry import trace; early = trace.get_tracer('a')\n"])
def test_an_sdk_that_is_set_late_takes_over_every_tracer(early: str) -> None:
    """
    Also tracers that were given out before rung was there.
    """
    code = """
        early = early if "early" in globals() else trace.get_tracer("a")
        links = [trace.Link(trace.SpanContext(1, 2, True))]
        decorator = early.start_as_current_span("decorated", links=links)
        def scene():
            with early.start_as_current_span("work", links=links):
                with early.start_as_current_span("inner"):
                    pass
            decorator(lambda: None)()
            span = early.start_span("alone"); span.end()
        before = within(scene)[1], exported()
        trace.set_tracer_provider(provider())
        after = within(scene)[1], exported()
        linked = [span.name for span in exporter.get_finished_spans() if span.links]
        said(before=before, after=after, linked=linked, late=type(trace.get_tracer("b")).__module__)
        """
    said = run(textwrap.dedent(code), early + BEGIN + SDK)
    parts = ["cpu inner", "cpu work", "cpu decorated", "cpu alone"]
    assert [parts, []] == said["before"]
    assert [parts, ["inner", "work", "decorated", "alone"]] == said["after"]
    assert ["work", "decorated"] == said["linked"]
    assert "opentelemetry.sdk.trace" == said["late"]


def test_both_see_the_spans_of_an_sdk() -> None:
    said = run(
        """
        trace.set_tracer_provider(provider())
        tracer = trace.get_tracer("a")
        def scene():
            with tracer.start_as_current_span("work") as work:
                work.set_attribute("a", 1)
                with tracer.start_as_current_span("GET", kind=trace.SpanKind.CLIENT,
                                                  attributes={"http.request.method": "GET"}):
                    pass
                with tracer.start_as_current_span("SELECT", kind=trace.SpanKind.CLIENT):
                    core.leave(core.enter("query"), "f" * 16)
                late = tracer.start_span("other thread", start_time=time.time_ns())
                thread = threading.Thread(target=late.end, args=(time.time_ns(),)); thread.start(); thread.join()
            try:
                with tracer.start_as_current_span("raising"):
                    raise KeyError("a")
            except KeyError:
                pass
            work.end()
            return sys.modules["opentelemetry.trace"].get_current_span() is trace.INVALID_SPAN
        saw, parts, _ = within(scene)
        spans = {span.name: span for span in exporter.get_finished_spans()}
        lasted = spans["work"].end_time - spans["work"].start_time
        said(saw=saw, parts=parts, exported=exported(), events=[len(one.events) for one in spans.values()],
             parent=spans["GET"].parent.span_id == spans["work"].context.span_id, lasted=lasted)
        """,
        BEGIN + SDK.replace("exporter = In", "import logging; logging.disable()\nexporter = In"),
    )
    assert said["saw"]
    parts = ["external http", "query " + "f" * 16, "cpu SELECT", "other other thread", "cpu work", "cpu raising"]
    assert parts == [part.replace("cpu other thread", "other other thread") for part in said["parts"]]
    assert ["GET", "SELECT", "other thread", "work", "raising"] == said["exported"]
    assert [0, 0, 0, 0, 1] == said["events"]
    assert said["parent"]


def test_the_request_takes_no_part_in_what_an_sdk_samples() -> None:
    """
    A span that is not sampled is none for the SDK; rung's own instruments see what they see.
    """
    said = run(
        """
        from opentelemetry.sdk.trace.sampling import ParentBased, ALWAYS_OFF
        trace.set_tracer_provider(provider(sampler=ParentBased(ALWAYS_OFF)))
        def scene():
            with trace.get_tracer("a").start_as_current_span("work") as span:
                core.leave(core.enter("file"), "")
                return span.is_recording()
        saw, parts, _ = within(scene)
        said(saw=saw, parts=parts, exported=exported())
        """,
        BEGIN + SDK,
    )
    assert {"saw": False, "parts": ["file "], "exported": []} == said


def test_a_request_has_the_trace_that_the_sdk_gave_it() -> None:
    said = run(
        """
        trace.set_tracer_provider(provider())
        def scene():
            with trace.get_tracer("a").start_as_current_span("GET /", kind=trace.SpanKind.SERVER) as span:
                return f"{span.get_span_context().trace_id:032x}"
        saw, parts, row = within(scene)
        consumed = contextvars.Context().run(
            lambda: trace.get_tracer("a").start_as_current_span("consume", kind=trace.SpanKind.CONSUMER))
        def job():
            with consumed:
                pass
        contextvars.Context().run(job)
        said(same=saw == row[-2], parts=parts, job=core.state.finished.pop()[1:3])
        """,
        BEGIN + SDK,
    )
    assert {"same": True, "parts": [], "job": ["job", "job:consume"]} == said


def test_a_provider_that_is_not_the_global_one_is_seen_too() -> None:
    said = run(
        """
        own = provider().get_tracer("a")
        def scene():
            with own.start_as_current_span("own") as span, trace.get_tracer("b").start_as_current_span("api"):
                return span.parent is None
        saw, parts, _ = within(scene)
        said(saw=saw, parts=parts, exported=exported())
        """,
        BEGIN + SDK,
    )
    assert {"saw": True, "parts": ["cpu api", "cpu own"], "exported": ["own"]} == said


@pytest.mark.parametrize(
    ("environment", "parts", "real"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, [], False),
        ({"RUNG_OPENTELEMETRY": "off"}, [], False),
        ({"OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"}, ["cpu work"], True),
        ({"OTEL_PYTHON_TRACER_PROVIDER": "default_tracer_provider"}, [], False),
    ],
)
def test_what_the_environment_says_holds(environment: dict[str, str], parts: list[str], real: bool) -> None:
    said = run(
        """
        from opentelemetry import trace
        def scene():
            with trace.get_tracer("a").start_as_current_span("work") as span:
                return span.is_recording() and type(span).__module__.startswith("opentelemetry.sdk")
        saw, parts, _ = within(scene)
        said(saw=saw, parts=parts)
        """,
        **environment,
    )
    assert {"saw": real, "parts": parts} == said


def test_the_apis_own_provider_may_be_set_as_the_global_one() -> None:
    said = run("""
        from opentelemetry import trace
        trace.set_tracer_provider(trace.get_tracer_provider())
        def scene():
            with trace.get_tracer("a").start_as_current_span("work"):
                trace.get_tracer("b").start_span("alone").end()
        said(parts=within(scene)[1])
        """)
    assert {"parts": ["cpu alone", "cpu work"]} == said


def test_processors_that_run_in_threads_change_nothing() -> None:
    said = run(
        """
        from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor
        trace.set_tracer_provider(provider(shutdown_on_exit=False,
            active_span_processor=ConcurrentMultiSpanProcessor()))
        def scene():
            with trace.get_tracer("a").start_as_current_span("work"):
                with trace.get_tracer("a").start_as_current_span("inner"):
                    pass
        _, parts, _ = within(scene)
        said(parts=parts, exported=exported())
        """,
        BEGIN + SDK,
    )
    assert {"parts": ["cpu inner", "cpu work"], "exported": ["inner", "work"]} == said

"""
What code does with OpenTelemetry's API within a request; played by player.py, told by test_otel_api.py.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time

import jinja2
from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from rung.probe import core, spans
from rung.trace_context import span_of

EARLY = trace.get_tracer("tests")
WAIT_S = 0.02
GARBAGE = ({1: object()}, ["a"], 7, "text", {"db.query.text": object(), "db.system.name": 1, "server.port": "x"})


def _compute() -> None:
    until = time.perf_counter() + WAIT_S
    while time.perf_counter() < until:
        pass


def _ids(span):
    known = span.get_span_context()
    return known.trace_id, known.span_id


def nested():
    with EARLY.start_as_current_span("outer") as outer:
        with EARLY.start_as_current_span("inner") as inner:
            found = trace.get_current_span() is inner
            _compute()
        return {
            "current": found and trace.get_current_span() is outer,
            "one trace": _ids(outer)[0] == _ids(inner)[0],
            "parent": inner.parent.span_id == _ids(outer)[1],
            "valid": inner.get_span_context().is_valid and inner.get_span_context().trace_flags.sampled,
            "kind": inner.kind is SpanKind.INTERNAL and inner.name == "inner",
            "times": 0 < inner.start_time <= inner.end_time,
        }


def ids_are_those_of_the_recording():
    request = core.current.get().request
    with EARLY.start_as_current_span("known") as span:
        return _ids(span)[1] == span_of(core.state.key, request.serial, span.serial)


def decorated():
    @EARLY.start_as_current_span("decorated")
    def twice(number):
        """Twice."""
        return 2 * number

    return [twice(1), twice(2), twice.__name__, twice.__doc__]


async def decorated_coroutine():
    @EARLY.start_as_current_span("decorated coroutine")
    async def slow(number):
        await asyncio.sleep(WAIT_S)
        return number

    return [await slow(1), await slow(2)]


def decorated_with_use_span():
    span = EARLY.start_span("used")

    @trace.use_span(span)
    def inside():
        return trace.get_current_span() is span

    found = inside(), inside()
    span.end()
    return found


def raising():
    seen = []
    for options in ({}, {"set_status_on_exception": False}, {"record_exception": False}):
        try:
            with EARLY.start_as_current_span("raising", **options) as span:
                raise KeyError("secret")
        except KeyError as error:
            seen.append([str(error), span.status.status_code.name, span.is_recording()])
    try:
        with EARLY.start_span("raising") as span:
            raise KeyError("secret")
    except KeyError:
        seen.append([span.status.status_code.name, span.is_recording()])
    return seen


def ended_once():
    span = EARLY.start_span("once")
    recording = span.is_recording()
    span.set_attribute("a", 1)
    span.set_attributes({"b": 2})
    span.end()
    span.end()
    span.set_attribute("a", 3)
    span.update_name("twice")
    span.set_status(StatusCode.ERROR)
    return [recording, span.is_recording(), dict(span.attributes), span.name, span.status.status_code.name]


def statuses():
    span = EARLY.start_span("statuses")
    seen = []
    for status in (StatusCode.UNSET, Status(StatusCode.ERROR, "why"), StatusCode.OK, StatusCode.ERROR):
        span.set_status(status)
        seen.append(span.status.status_code.name)
    span.end()
    return seen


def renamed():
    with EARLY.start_as_current_span("before") as span:
        span.update_name("after")


def explicit_parent():
    parent = EARLY.start_span("parent")
    child = EARLY.start_span("child", context=trace.set_span_in_context(parent))
    child.end()
    parent.end()
    alone = EARLY.start_span("alone", context=context.Context())
    alone.end()
    return child.parent.span_id == _ids(parent)[1]


def remote_parent():
    carrier = {"traceparent": f"00-{7:032x}-{9:016x}-01", "tracestate": "a=b"}
    with EARLY.start_as_current_span("remote", context=propagate.extract(carrier)) as span:
        sent = {}
        propagate.inject(sent)
    return [_ids(span)[0], sent["tracestate"], sent["traceparent"] == f"00-{7:032x}-{_ids(span)[1]:016x}-01"]


def attached():
    span = EARLY.start_span("attached")
    token = context.attach(trace.set_span_in_context(span))
    EARLY.start_span("within").end()
    context.detach(token)
    span.end()


def in_threads():
    with EARLY.start_as_current_span("here"):
        carried = contextvars.copy_context()
        thread = threading.Thread(target=lambda: carried.run(_there))
        thread.start()
        thread.join()
    late = EARLY.start_span("ended elsewhere")
    thread = threading.Thread(target=late.end)
    thread.start()
    thread.join()


def _there():
    with EARLY.start_as_current_span("there"):
        _compute()


async def in_tasks():
    async def one(number):
        with EARLY.start_as_current_span(f"task {'abc'[number]}"):
            await asyncio.sleep(WAIT_S)
            return trace.get_current_span().name

    with EARLY.start_as_current_span("together"):
        return await asyncio.gather(*(one(number) for number in range(3)))


async def computing_and_waiting():
    with EARLY.start_as_current_span("computes"):
        _compute()
    with EARLY.start_as_current_span("waits"):
        await asyncio.sleep(WAIT_S)
    with EARLY.start_as_current_span("waits for what is known"):
        part = core.enter("external")
        await asyncio.sleep(WAIT_S)
        core.leave(part, "http")


def given_times():
    now = time.time_ns()
    with EARLY.start_as_current_span("request so far", start_time=now - 10**12):
        pass
    span = EARLY.start_span("given", start_time=now)
    time.sleep(2 * WAIT_S)
    span.end(now + int(WAIT_S * 1e9))
    for start, end in (("x", "y"), (None, -5), (now + 10**15, now + 10**18)):
        EARLY.start_span("senseless", start_time=start).end(end)


def calls():
    told = {
        "postgres": {
            "db.system.name": "postgresql", "db.query.text": "SELECT a FROM t WHERE b = 'secret'",
            "db.namespace": "shop", "server.address": "db", "server.port": 5432,
        },
        "older": {"db.system": "postgresql", "db.statement": "SELECT a FROM t WHERE b = %s", "db.name": "shop"},
        "mysql": {
            "db.system.name": "mysql", "db.query.text": 'SELECT "secret"', "db.operation.name": "SELECT",
            "db.collection.name": "t", "db.namespace": "shop",
        },
        "redis": {"db.system": "redis", "db.statement": "GET secret"},
        "http": {"http.request.method": "GET", "url.full": "http://secret/"},
        "rpc": {"rpc.system": "grpc", "rpc.service": "shop.Stock", "rpc.method": "Reserve"},
        "something else": {},
    }  # fmt: skip
    for name, attributes in told.items():
        with EARLY.start_as_current_span(name, kind=SpanKind.CLIENT) as span:
            span.set_attributes(attributes)
    with EARLY.start_as_current_span("orders publish", kind=SpanKind.PRODUCER, attributes={"messaging.system": "x"}):
        pass


def containing():
    with EARLY.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes={"http.request.method": "GET"}):
        core.leave(core.enter("external"), "http")
    # As SQLAlchemy's instrumentation does it, whose span is not the current one while the driver works.
    with EARLY.start_as_current_span("around"):
        span = EARLY.start_span("SELECT", kind=SpanKind.CLIENT, attributes={"db.system": "postgresql"})
        core.leave(core.enter("query"), "f" * 16)
        span.end()
    core.leave(core.enter("file"), "")


def within_what_is_known():
    part = core.enter("external")
    with EARLY.start_as_current_span("GET", kind=SpanKind.CLIENT) as span:
        found = _ids(span)[1] == span_of(core.state.key, part.request.serial, part.serial)
    core.leave(part, "http")
    return found


def the_request_itself():
    request = core.current.get().request
    root = span_of(core.state.key, request.serial)
    serving = trace.get_tracer("opentelemetry.instrumentation.asgi")
    seen = [_ids(trace.get_current_span())[1] == root]
    with EARLY.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
        seen.append(_ids(span)[1] == root)
        with serving.start_as_current_span("GET / http send"):
            seen.append(_ids(trace.get_current_span())[1] == root)
    return seen


def sent_on():
    request = core.current.get().request
    sent, within = {}, {}
    propagate.inject(sent)
    with EARLY.start_as_current_span("sending") as span:
        propagate.inject(within)
    root = span_of(core.state.key, request.serial)
    return [
        sent["traceparent"].split("-")[2] == f"{root:016x}",
        within["traceparent"] == f"{sent['traceparent'][:35]}-{_ids(span)[1]:016x}-01",
    ]


def rendering():
    template = jinja2.Template("{% for n in range(9) %}{{ n }}{% endfor %}")
    with EARLY.start_as_current_span("page"):
        return template.render()


def garbage():
    seen = 0
    for attributes in GARBAGE:
        for kind in (SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER, None, "x"):
            with EARLY.start_as_current_span("garbage", kind=kind, attributes=attributes) as span:
                span.set_attribute(None, object())
                span.set_attributes({"a": float("nan"), (): []})
                span.add_event(None, 7, "x")
                span.add_link(None)
                span.record_exception(KeyError())
                span.set_status("bad")
                seen += len(span.attributes) > 0
    for name in (None, 7, "", "n" * 10_000, b"x", ("a",), "\udc80"):
        EARLY.start_span(name).end()
    return seen


def unprintable_error():
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no")

    try:
        with EARLY.start_as_current_span("unprintable"):
            raise Unprintable
    except Unprintable:
        return True


def after_the_answer():
    request = core.current.get().request
    span = EARLY.start_span("outlives")
    cut = EARLY.start_span("never ends")
    core.respond(request)
    first = core.state.finished.pop()
    with EARLY.start_as_current_span("background") as after:
        known = _ids(after)
    span.end()
    core.freeze(request)
    second = request.row
    assert cut.is_recording()
    from tests.probe.rows import unpacked

    return [
        sorted(part["name"] for part in unpacked(first)), [part["name"] for part in unpacked(second)],
        known[1] == span_of(core.state.key, second[0], after.serial), second[0] != first[0],
    ]  # fmt: skip


def outside_of_requests():
    return contextvars.Context().run(_outside)


def _outside():
    before = core.state.spans_outside
    with EARLY.start_as_current_span("nowhere") as span:
        seen = [span.is_recording(), span.get_span_context().is_valid]
    return [*seen, core.state.spans_outside - before, trace.get_current_span() is trace.INVALID_SPAN]


def a_job():
    return contextvars.Context().run(_job)


def _job():
    from tests.probe.rows import unpacked

    remote = propagate.extract({"traceparent": f"00-{7:032x}-{9:016x}-01"})
    try:
        with EARLY.start_as_current_span("orders process 17", context=remote, kind=SpanKind.CONSUMER) as span:
            with EARLY.start_as_current_span("inside"):
                pass
            raise KeyError("secret")
    except KeyError:
        pass
    row = core.state.finished.pop()
    parts = [(part["name"], part["parent"]) for part in unpacked(row)]
    return [row[1], row[2], row[core.ERROR].split()[0], row[-2:], parts, span.is_recording()]


async def a_job_on_the_loop():
    async def work():
        with EARLY.start_as_current_span("consume", kind=SpanKind.CONSUMER):
            await asyncio.sleep(0)
        return core.state.finished.pop()[1:3]

    return await contextvars.Context().run(asyncio.get_running_loop().create_task, work())


def many_names():
    before = core.state.names_folded
    for number in range(spans.NAMES_MAX + 100):
        EARLY.start_span("".join("abcdefghij"[int(digit)] for digit in str(number))).end()
    return core.state.names_folded - before >= 100


def forked():
    read, write = os.pipe()
    with EARLY.start_as_current_span("across a fork") as outer:
        mine = _ids(outer)
        child = os.fork()
        if not child:
            with EARLY.start_as_current_span("in the child") as inner:
                os.write(write, b"%d %d" % (_ids(inner) != mine, core.state.failures))
            os._exit(0)
        os.waitpid(child, 0)
    return os.read(read, 99).decode()

"""
Load is what its file says, the same each time, and its latencies cannot be flattered by a stalled server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung import clock
from rung.adapters.traffic import (
    Answers,
    Choice,
    Draw,
    Plan,
    Route,
    Served,
    origin_of,
    plan_of_url,
    read_plan,
    schedule,
    send,
)
from rung.adapters.traffic.plan import REQUESTS_MAX
from rung.adapters.traffic.report import LATE_S, Ending, report_of
from rung.adapters.traffic.schedule import arrivals, draws
from rung.errors import BadFile, BadValue, RungError, TargetUnreachable, UnknownName

SHOP = """
rate = 20.0
[[routes]]
weight = 30
path = "/customers/{customer}/orders"
[routes.values.customer]
from = 1
to = 50000
skew = 1.1
[[routes]]
weight = 10
method = "post"
path = "/checkout"
headers = { Accept-Language = "{language}" }
form = { customer = "{customer}", note = "a & {customer}" }
[routes.values.customer]
from = 1
to = 9
[routes.values.language]
values = ["en", "de"]
[[routes]]
weight = 10
method = "PUT"
path = "/carts/{customer}"
json = { customer = "{customer}", lines = [{ product = "p-{product}", count = 2, gift = false }] }
[routes.values.customer]
from = 1
to = 9
[routes.values.product]
from = 7
to = 7
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "load.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@st.composite
def values(draw: st.DrawFn) -> Draw | Choice:
    if draw(st.booleans()):
        return Choice(tuple(draw(st.lists(st.text(max_size=5), min_size=1, max_size=4))))
    low = draw(st.integers(-1000, 1000))
    return Draw(low, low + draw(st.integers(0, 2000)), draw(st.none() | st.floats(0.1, 3.0)))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    routes = tuple(
        Route(f"/{number}/{{name}}", weight=draw(st.floats(0.1, 100)), values={"name": draw(values())})
        for number in range(draw(st.integers(1, 4)))
    )
    return Plan(routes, draw(st.floats(0.5, 200)), draw(st.floats(0.1, 5)), draw(st.integers(0, 2**32)))


@given(plans())
def test_the_same_plan_gives_the_same_requests(plan: Plan) -> None:
    assert list(schedule(plan)) == list(schedule(plan))


@given(plans())
def test_requests_are_due_in_order_and_within_the_duration(plan: Plan) -> None:
    at_s = [due.at_s for due in schedule(plan)]

    assert sorted(at_s) == at_s
    assert all(0 <= one < plan.duration_s for one in at_s)


@given(plans())
def test_a_longer_run_only_adds_to_the_end(plan: Plan) -> None:
    short, long = list(schedule(plan)), list(schedule(replace(plan, duration_s=plan.duration_s * 2)))

    assert short == long[: len(short)]


@given(seed=st.integers(0, 2**32), rate_per_s=st.floats(1, 1000))
def test_arrivals_have_the_asked_rate_and_the_variance_of_strangers(seed: int, rate_per_s: float) -> None:
    """
    The count of a Poisson process is within six of its standard deviations, and gaps vary as much as their mean.
    """
    duration_s = 4000 / rate_per_s
    at_s = arrivals(np.random.Generator(np.random.PCG64(seed)), rate_per_s=rate_per_s, duration_s=duration_s)
    gaps = np.diff(at_s) * rate_per_s

    assert abs(len(at_s) - 4000) < 6 * 4000**0.5
    assert 0.8 < gaps.std() < 1.2


@given(value=values(), seed=st.integers(0, 2**32))
def test_every_draw_is_within_its_range(value: Draw | Choice, seed: int) -> None:
    drawn = draws(np.random.Generator(np.random.PCG64(seed)), value, 200)

    low, high = (0, len(value.values) - 1) if isinstance(value, Choice) else (value.low, value.high)
    assert low <= drawn.min() <= drawn.max() <= high


def test_a_zipf_draw_follows_its_law() -> None:
    """
    With exponent 1 the first value comes twice as often as the second and ten times as often as the tenth.
    """
    drawn = draws(np.random.Generator(np.random.PCG64(5)), Draw(101, 200, 1.0), 200_000)
    counts = np.bincount(drawn - 101)

    assert counts[0] / counts[1] == pytest.approx(2, rel=0.05)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.1)


def test_a_route_added_leaves_the_values_of_the_others_as_they_were() -> None:
    one = Route("/a/{name}", values={"name": Draw(1, 10**6)})
    other = Route("/b/{name}", values={"name": Draw(1, 10**6)})
    alone = [due.path for due in schedule(Plan((one,), 50, 10, seed=3))]
    mixed = [due.path for due in schedule(Plan((other, one), 50, 10, seed=3)) if due.route == 1]

    assert mixed == alone[: len(mixed)]
    assert len(mixed) > 100


def test_routes_come_as_often_as_their_weights_say(written: Callable[[str], Path]) -> None:
    drawn = Counter(due.route for due in schedule(read_plan(written(SHOP), rate=100, duration_s=100, seed=1)))

    assert drawn[0] / drawn.total() == pytest.approx(0.6, abs=0.03)
    assert drawn[1] / drawn.total() == pytest.approx(0.2, abs=0.03)


def test_bodies_are_what_the_file_says(written: Callable[[str], Path]) -> None:
    dues = schedule(read_plan(written(SHOP), duration_s=60, seed=1))
    form, cart = (next(due for due in dues if due.route == route) for route in (1, 2))

    assert ("POST", "application/x-www-form-urlencoded") == (form.method, form.content_type)
    fields = parse_qs((form.body or b"").decode())
    assert fields["note"] == [f"a & {fields['customer'][0]}"]
    assert form.headers[0] in {("Accept-Language", "en"), ("Accept-Language", "de")}
    assert "application/json" == cart.content_type
    body = json.loads(cart.body or b"")
    assert isinstance(body["customer"], int)
    assert body["lines"] == [{"product": "p-7", "count": 2, "gift": False}]
    assert cart.path == f"/carts/{body['customer']}"


def test_a_value_cannot_break_out_of_its_place_in_the_path() -> None:
    route = Route("/search für/{word}?page=1", values={"word": Choice(("a/b?c d&é",))})

    assert schedule(Plan((route,), 100, 1))[0].path == "/search%20f%C3%BCr/a%2Fb%3Fc%20d%26%C3%A9?page=1"


ROUTE = '[[routes]]\npath = "/a/{id}"\n'
VALUE = "[routes.values.id]\n"


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("rate = ", BadFile, "is not TOML"),
        ("[[routes]]\npath = '/'", BadFile, "has no rate"),
        ("rate = 0\n[[routes]]\npath = '/'", BadValue, "rate cannot be 0"),
        ("rate = 1", BadFile, r"has no \[\[routes\]\]"),
        ("rate = 1\nroutes = 3", BadFile, r"has no \[\[routes\]\]"),
        ("rates = 1", UnknownName, "unknown key 'rates'.*did you mean 'rate'"),
        ("rate = 1\n[[routes]]\nweight = 1", BadFile, "route 1: it has no path"),
        ("rate = 1\n[[routes]]\npath = 'a'", BadValue, "path cannot be 'a'.*route 1.*begins with"),
        ("rate = 1\n[[routes]]\npath = '/'\nwieght = 1", UnknownName, "did you mean 'weight'"),
        ("rate = 1\n[[routes]]\npath = '/'\nweight = -1", BadValue, "weight cannot be -1"),
        ("rate = 1\n[[routes]]\npath = '/'\nmethod = 'GTE'", UnknownName, "did you mean 'GET'"),
        ("rate = 1\n[[routes]]\npath = '/'\nform = {}\njson = {}", BadFile, "both form and json"),
        ("rate = 1\n[[routes]]\npath = '/'\nform = { a = [1] }", BadValue, "form.a cannot be"),
        ("rate = 1\n[[routes]]\npath = '/'\njson = { a = 07:32:00 }", BadValue, "json.a cannot be"),
        ("rate = 1\n[[routes]]\npath = '/'\nheaders = { a = 'b\\u000a' }".replace("'", '"'), BadValue, "headers.a"),
        ("rate = 1\n" + ROUTE, BadFile, r"\{id\} has no value.*routes.values.id"),
        ("rate = 1\n" + ROUTE + "[routes.values.di]\nfrom = 1\nto = 2", UnknownName, "unknown value 'id'.*'di'"),
        ("rate = 1\n" + ROUTE + VALUE + "from = 1", BadFile, "values.id has no 'to'"),
        ("rate = 1\n" + ROUTE + VALUE + "from = 3\nto = 2", BadValue, "values.id.from cannot be 3.*at most its 'to', 2"),
        ("rate = 1\n" + ROUTE + VALUE + "from = 1\nto = 2.5", BadValue, "values.id.to cannot be 2.5"),
        ("rate = 1\n" + ROUTE + VALUE + "from = 1\nto = 2\nskew = 0", BadValue, "values.id.skew cannot be 0"),
        ("rate = 1\n" + ROUTE + VALUE + "from = 1\nto = 99999999\nskew = 1", BadValue, "at most 10000000 values"),
        ("rate = 1\n" + ROUTE + VALUE + "from = 1\nto = 2\nsqew = 1", UnknownName, "did you mean 'skew'"),
        ("rate = 1\n" + ROUTE + VALUE + "values = []", BadValue, "values.id.values cannot be"),
        ("rate = 1\n" + ROUTE + VALUE + "values = ['a']\nto = 2", BadFile, "has values and from/to"),
        ("rate = 1\n[[routes]]\npath = '/'\n" + VALUE + "from = 1\nto = 2", BadFile, "values.id is used nowhere"),
    ],
)
def test_a_mistake_in_a_load_file_is_named(
    written: Callable[[str], Path], text: str, error: type[RungError], words: str
) -> None:
    with pytest.raises(error, match=f"(?s){words}") as raised:
        read_plan(written(text), duration_s=1)

    assert "load.toml" in raised.value.message


def test_a_load_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="none.toml: No such file"):
        read_plan(tmp_path / "none.toml", duration_s=1)


def test_a_plan_is_bounded() -> None:
    with pytest.raises(BadValue, match=f"one run may have {REQUESTS_MAX}"):
        plan_of_url("http://127.0.0.1/", rate=5001, duration_s=1000)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a/", "http://", "http://a:99999/", "http://[::1/"])
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(BadValue, match="URL cannot be"):
        origin_of(url)


def rows(lateness_s: list[float], *, status: int = 200) -> Answers:
    return Answers(Served(0, at, at + late_s, at + late_s + 0.01, status) for at, late_s in enumerate(lateness_s))


def test_a_run_is_void_when_more_than_one_in_a_thousand_starts_was_late() -> None:
    late_s = LATE_S * 2
    fine = report_of(rows([0.0] * 1998 + [late_s] * 2), ["GET /"], Ending(2000, 2000))
    void = report_of(rows([0.0] * 1997 + [late_s] * 3), ["GET /"], Ending(2000, 2000))

    assert (fine.void, fine.void_reason) == (False, "")
    assert void.void
    assert "3 of 2000 requests started more than" in void.void_reason
    assert 0.0015 == void.overall.late_share


def test_a_single_late_start_does_not_make_a_short_run_void() -> None:
    assert not report_of(rows([0.0, 1.0]), ["GET /"], Ending(2, 2)).void


def test_requests_not_sent_make_a_run_void() -> None:
    report = report_of(rows([0.0]), ["GET /"], Ending(3, 2, not_sent=2, not_sent_reason="9 were in flight already"))

    assert report.void_reason == "2 requests that were due were not sent: 9 were in flight already"


def test_percentiles_are_those_of_real_requests_and_errors_are_told_apart() -> None:
    answers = Answers(
        [Served(0, 0.0, 0.0, n / 64, 200) for n in range(1, 97)]
        + [Served(1, 0.0, 0.0, 2.0, 404), Served(1, 0.0, 0.0, 2.0, 503), Served(1, 0.0, 0.0, 30.0, 0, "no answer")]
    )
    report = report_of(answers, ["GET /a", "GET /b", "GET /c"], Ending(99, 33.0))
    first, second, third = report.routes

    assert (first.p50_s, first.p95_s, first.p99_s) == (48 / 64, 92 / 64, 96 / 64)
    assert (second.requests, second.errors, second.client_errors) == (3, 2, 1)
    assert (third.requests, third.p50_s, third.late_share) == (0, None, 0.0)
    assert (report.overall.errors, report.overall.throughput_per_s) == (2, 98 / 33)
    assert report.problems == {"no answer": 1}
    assert list(report.served) == [answers[n] for n in range(99)]


@dataclass
class Site:
    """
    A real HTTP server; *answer* is given method, path, headers and body, and returns a status and a delay.
    """

    answer: Callable[[str], tuple[int, float]]
    url: str = ""
    seen: list[tuple[str, dict[str, str], bytes, float]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.seen.append((head[0], headers, body, clock.now_s()))
                status, delay_s = self.answer(head[0].split()[1])
                await asyncio.sleep(delay_s)
                if not status:
                    break
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok".encode())
                await writer.drain()
        writer.close()


@contextlib.contextmanager
def site(answer: Callable[[str], tuple[int, float]] = lambda path: (200, 0.0)) -> Iterator[Site]:
    served = Site(answer)
    ready, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        server = await asyncio.start_server(served.serve, "127.0.0.1", 0, backlog=512)
        served.url = "http://127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
        ready.set()
        await end.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


def test_a_stall_shows_in_the_percentiles_of_all_who_were_due_meanwhile() -> None:
    """
    A server that takes no request for 1 s: those due within it waited for its end, though each was served at once.

    Whoever counts from when a request is read, as a closed loop does, sees one slow request of fifty.
    """
    stalled_until_s: list[float] = []

    def answer(path: str) -> tuple[int, float]:
        if not stalled_until_s:
            stalled_until_s.append(clock.monotonic_s() + 1.0)
        return 200, max(stalled_until_s[0] - clock.monotonic_s(), 0.0)

    with site(answer) as served:
        report = send(served.url, plan_of_url(served.url, rate=50, duration_s=1.5, seed=2))

    slow = [row for row in report.served if row.finished_s - row.due_s > 0.5]
    assert (report.overall.p99_s or 0) > 0.8
    assert len(slow) > 15
    # Open loop: they were all on their way before the first of them was answered.
    assert max(row.started_s for row in slow) < min(row.finished_s for row in slow)


def test_what_is_planned_is_what_arrives_with_the_time_it_was_due(written: Callable[[str], Path]) -> None:
    plan = read_plan(written(SHOP), rate=60, duration_s=1, seed=4)
    before_s = clock.now_s()
    with site() as served:
        report = send(served.url + "/", plan)

    expected = Counter((f"{due.method} {due.path} HTTP/1.1", due.body or b"") for due in schedule(plan))
    assert Counter((line, body) for line, _, body, _ in served.seen) == expected
    assert report.overall.requests == len(schedule(plan)) == report.planned
    assert (report.overall.errors, report.ended_early, report.not_sent) == (0, False, 0)
    assert [route.requests for route in report.routes] == [
        sum(due.route == number for due in schedule(plan)) for number in range(3)
    ]
    stamps = [headers["x-request-start"] for _, headers, _, _ in served.seen]
    assert all(stamp.startswith("t=") and stamp[2:].isdigit() for stamp in stamps)
    due_s = [int(stamp[2:]) / 1_000_000 for stamp in stamps]
    assert all(before_s < due <= seen[3] for due, seen in zip(due_s, served.seen, strict=True))
    # The stamps are the schedule itself, moved to the run's start; the first of both may stand in another place.
    gaps = np.diff(sorted(due_s))
    assert np.allclose(gaps, np.diff([due.at_s for due in schedule(plan)]), atol=5e-6)


def test_errors_are_counted_by_what_they_are() -> None:
    statuses = {"/fine": 200, "/gone": 404, "/broken": 503, "/rude": 0, "/elsewhere": 303}
    plan = Plan(tuple(Route(path, method="POST") for path in statuses), 60, 1)
    with site(lambda path: (statuses[path], 0.0)) as served:
        report = send(served.url, plan)

    fine, gone, broken, rude, elsewhere = report.routes
    assert (fine.errors, gone.errors, elsewhere.errors) == (0, 0, 0)
    assert (fine.client_errors, gone.client_errors) == (0, gone.requests)
    assert broken.errors == broken.requests > 0
    assert rude.errors == rude.requests > 0
    assert report.overall.errors == broken.requests + rude.requests
    assert report.problems == {"the server closed the connection without an answer": rude.requests}


def test_no_answer_in_time_is_an_error() -> None:
    with site(lambda path: (200, 60.0)) as served:
        report = send(served.url, plan_of_url(served.url, rate=20, duration_s=0.5), timeout_s=0.2)

    assert report.overall.errors == report.overall.requests > 0
    assert set(report.problems) == {"no answer within 0.2 s"}
    assert (report.overall.p50_s or 0) >= 0.2


def test_a_stop_ends_the_run_early_and_says_so() -> None:
    stop = threading.Event()

    def answer(path: str) -> tuple[int, float]:
        if len(served.seen) == 10:
            stop.set()
        return 200, 0.0 if len(served.seen) < 10 else 60.0

    with site(answer) as served:
        report = send(served.url, plan_of_url(served.url, rate=100, duration_s=600), stop=stop)

    assert report.ended_early
    assert 10 <= report.overall.requests < report.planned
    assert report.overall.unfinished >= 1
    assert report.overall.errors == 0
    assert report.lasted_s < 60


def test_requests_beyond_the_bound_are_counted_and_the_run_is_void() -> None:
    with site(lambda path: (200, 60.0)) as served:
        plan = plan_of_url(served.url, rate=100, duration_s=0.5)
        report = send(served.url, plan, in_flight_max=5, timeout_s=1.0)

    assert report.overall.requests == 5
    assert report.not_sent == report.planned - 5
    assert "5 were in flight already" in report.void_reason


def test_progress_is_told_and_ends_with_the_whole() -> None:
    told = []
    with site() as served:
        report = send(served.url, plan_of_url(served.url, rate=50, duration_s=1.2), progress=told.append)

    last = told[-1]
    assert len(told) >= 2
    assert (last.sent, last.finished, last.in_flight) == (report.planned, report.planned, 0)
    assert last.recent_p95_s is not None


def test_what_progress_raises_reaches_the_caller() -> None:
    def fail(progress: object) -> None:
        raise RuntimeError("the screen is gone")

    with site() as served, pytest.raises(RuntimeError, match="the screen is gone"):
        send(served.url, plan_of_url(served.url, rate=20, duration_s=600), progress=fail)


def test_nothing_is_sent_when_nothing_answers() -> None:
    with socket.socket() as taken:  # bound but not listening: refuses, and nobody else can take the port
        taken.bind(("127.0.0.1", 0))
        url = "http://someone:secret@127.0.0.1:{}/".format(taken.getsockname()[1])
        with pytest.raises(TargetUnreachable, match="nothing answers at http://127.0.0.1:.*refused") as raised:
            send(url, plan_of_url(url, rate=10, duration_s=1))

    assert "secret" not in str(raised.value)


def test_a_url_with_a_path_does_not_go_with_a_load_file(written: Callable[[str], Path]) -> None:
    plan = read_plan(written(SHOP), duration_s=1)

    with pytest.raises(BadValue, match="scheme, host and port only"):
        send("http://127.0.0.1:1/shop", plan)


def test_a_url_with_a_path_goes_with_its_own_plan() -> None:
    with site() as served:
        url = f"{served.url}/orders?page=2"
        send(url, plan_of_url(url, rate=30, duration_s=0.5))

    assert {urlsplit(line.split()[1]).query for line, *_ in served.seen} == {"page=2"}
    assert {line for line, *_ in served.seen} == {"GET /orders?page=2 HTTP/1.1"}

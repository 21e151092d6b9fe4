"""
Load arrives as it was planned, and its latencies cannot be flattered by a stalled server.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from rung import clock
from rung.adapters.traffic import (
    Answers,
    Plan,
    Route,
    Served,
    plan_of_url,
    read_plan,
    schedule,
    send,
)
from rung.adapters.traffic.report import LATE_S, Ending, report_of
from rung.errors import BadValue, TargetUnreachable
from tests.adapters.load_files import SHOP
from tests.adapters.sites import site


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "load.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


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
    with site(lambda _: (200, 60.0)) as served:
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


def test_ctrl_c_ends_the_run_early_with_a_report() -> None:
    program = (
        "import sys; from rung.adapters.traffic import plan_of_url, send\n"
        "report = send(sys.argv[1], plan_of_url(sys.argv[1], rate=50, duration_s=600))\n"
        "print(report.ended_early, report.overall.requests, report.overall.unfinished, report.overall.errors)"
    )
    enough = threading.Event()

    def answer(_: str) -> tuple[int, float]:
        if len(served.seen) == 5:
            enough.set()
        return 200, 60.0

    with site(answer) as served:
        process = subprocess.Popen([sys.executable, "-c", program, served.url], stdout=subprocess.PIPE, text=True)
        try:
            assert enough.wait(60)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()

    ended_early, requests, unfinished, errors = out.split()
    assert ("True", "0") == (ended_early, errors)
    assert int(requests) == int(unfinished) >= 5
    assert 0 == process.returncode


def test_requests_beyond_the_bound_are_counted_and_the_run_is_void() -> None:
    with site(lambda _: (200, 60.0)) as served:
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
        url = f"http://someone:secret@127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(TargetUnreachable, match=r"nothing answers at http://127\.0\.0\.1:.*refused") as raised:
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

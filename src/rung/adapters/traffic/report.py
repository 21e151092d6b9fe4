"""
What came of the requests: one row each, and the numbers that people read, with whether they can be trusted.

Latency is counted from when a request was *due*, not from when it went out: a sender that waits for a stalled server
and then measures only the rest reports a fine percentile of a dreadful minute (coordinated omission; Gil Tene's wrk2).

In        answers as they come in
Out       a Report; void when it was the sender that was slow
Not here  sending (sender.py), words and colours (surfaces/)
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

UNFINISHED = "given up when the run was ended early"

# A start is late LATE_S after it was due.  Measured on 2 shared cores: with both kept busy by two other processes, the
# latest of 600 to 3,000 starts came 6 to 18 thousandths of a second late (the scheduler's time slices); 26 to 28 when
# the machine's own host took processors away.  With several more processes wanting the cores, starts come 0.1 s late
# and more, and then latencies do say more about the machine than about the app.  A sender that is itself too slow
# falls behind without end: at 4,000 requests/s by 3 s within 6 s.
LATE_S = 0.05
# Above this share p99 itself begins to show the sender instead of the server.
LATE_SHARE_MAX = 0.001

STATUS_CLIENT_ERROR = 400
STATUS_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Served:
    """
    What came of one request; times in seconds since the start of the run.

    Attributes:
        route: Its position in the plan.
        started_s: When the sender began it: later than *due_s* only by the sender's own doing.
        finished_s: When the last byte of the answer was read, or the request given up.
        status: HTTP status; 0 when there was no whole answer, and then *problem* says why.
    """

    route: int
    due_s: float
    started_s: float
    finished_s: float
    status: int
    problem: str | None = None


class Answers(Sequence[Served]):
    """
    Rows in order of finishing, kept as columns: 30 bytes a row, and nothing for the garbage collector to walk.
    """

    def __init__(self, rows: Iterable[Served] = ()) -> None:
        self._route, self._status = array("H"), array("h")
        self._due_s, self._started_s, self._finished_s = array("d"), array("d"), array("d")
        self._problems: dict[int, str] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Served) -> None:
        """
        Add *row* at the end.
        """
        if row.problem is not None:
            self._problems[len(self)] = row.problem
        self._route.append(row.route)
        self._status.append(row.status)
        self._due_s.append(row.due_s)
        self._started_s.append(row.started_s)
        self._finished_s.append(row.finished_s)

    def __len__(self) -> int:
        return len(self._route)

    @overload
    def __getitem__(self, index: int) -> Served: ...
    @overload
    def __getitem__(self, index: slice) -> list[Served]: ...
    def __getitem__(self, index: int | slice) -> Served | list[Served]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        index = index + len(self) if index < 0 else index
        return Served(
            self._route[index],
            self._due_s[index],
            self._started_s[index],
            self._finished_s[index],
            self._status[index],
            self._problems.get(index),
        )

    def routes(self) -> NDArray[np.int64]:
        """
        Return each row's position in the plan.
        """
        return np.array(self._route, dtype=np.int64)

    def statuses(self) -> NDArray[np.int64]:
        """
        Return each row's HTTP status.
        """
        return np.array(self._status, dtype=np.int64)

    def dues_s(self) -> NDArray[np.float64]:
        """
        Return when each row was due.
        """
        return np.array(self._due_s, dtype=np.float64)

    def latencies_s(self, last: int | None = None) -> NDArray[np.float64]:
        """
        Return the seconds from due to finished of all rows, or of the *last* ones.
        """
        since = 0 if last is None else max(len(self) - last, 0)
        return np.subtract(self._finished_s[since:], self._due_s[since:], dtype=np.float64)

    def lateness_s(self) -> NDArray[np.float64]:
        """
        Return the seconds from due to started.
        """
        return np.subtract(self._started_s, self._due_s, dtype=np.float64)

    def finished_s_max(self) -> float:
        """
        Return when the last row finished; 0 when there is none.
        """
        return max(self._finished_s, default=0.0)

    def unfinished(self) -> NDArray[np.bool_]:
        """
        Return which rows were given up because the run was ended.
        """
        marks = np.zeros(len(self), dtype=np.bool_)
        marks[[index for index, problem in self._problems.items() if problem == UNFINISHED]] = True
        return marks

    def problems(self) -> dict[str, int]:
        """
        Return how often each problem occurred, the most frequent first.
        """
        counts: dict[str, int] = {}
        for problem in self._problems.values():
            counts[problem] = counts.get(problem, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))


@dataclass(frozen=True, slots=True)
class Tally:
    """
    The numbers of one route, or of all of them together.

    Attributes:
        requests: Sent, whatever came of them.
        throughput_per_s: Whole answers a second, errors included.
        p50_s: Latency from when a request was due; each percentile is that of a real request (the smallest latency
            that at least so many had). A request without an answer counts with the time until it was given up.
            None without requests.
        errors: Status 500 and above, or no whole answer.
        client_errors: Status 400 to 499: the app answered, but not to what was asked.
        unfinished: Given up because the run was ended early; no errors.
        late_share: Part of the requests that the sender began too late.
    """

    name: str
    requests: int
    throughput_per_s: float
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    errors: int
    client_errors: int
    unfinished: int
    late_share: float


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a run of load showed.

    Attributes:
        overall: All routes together.
        routes: Each route, in the order of the plan.
        planned: Requests that the plan held.
        not_sent: Requests that were due and that the sender could not send; never part of *overall*.
        lasted_s: From the start to the last answer, at least the plan's duration unless ended early.
        ended_early: Somebody ended the run; the numbers cover what was sent until then.
        void: The sender was the bottleneck: the numbers say nothing about the app.
        void_reason: Why, in words; empty when not void.
        problems: How often each problem occurred.
        served: One row for each request sent, in order of finishing.
    """

    overall: Tally
    routes: tuple[Tally, ...]
    planned: int
    not_sent: int
    lasted_s: float
    ended_early: bool
    void: bool
    void_reason: str
    problems: dict[str, int]
    served: Answers = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How a run stands: counts so far, and p95 (None before the first) of the requests that finished last.
    """

    elapsed_s: float
    planned: int
    sent: int
    finished: int
    in_flight: int
    errors: int
    recent_p95_s: float | None


@dataclass(frozen=True, slots=True)
class Ending:
    """
    How a run ended, beside what was served.
    """

    planned: int
    lasted_s: float
    ended_early: bool = False
    not_sent: int = 0
    not_sent_reason: str = ""


def report_of(answers: Answers, route_names: Sequence[str], ending: Ending) -> Report:
    """
    Return the numbers of a run.
    """
    everything = np.ones(len(answers), dtype=np.bool_)
    routes = answers.routes()
    lateness_s = answers.lateness_s()
    reason = void_reason(lateness_s, not_sent=ending.not_sent, not_sent_reason=ending.not_sent_reason)
    return Report(
        overall=_tally("overall", answers, everything, ending.lasted_s),
        routes=tuple(
            _tally(name, answers, routes == number, ending.lasted_s) for number, name in enumerate(route_names)
        ),
        planned=ending.planned,
        not_sent=ending.not_sent,
        lasted_s=ending.lasted_s,
        ended_early=ending.ended_early,
        void=bool(reason),
        void_reason=reason,
        problems=answers.problems(),
        served=answers,
    )


def void_reason(lateness_s: NDArray[np.float64], *, not_sent: int = 0, not_sent_reason: str = "") -> str:
    """
    Return why the numbers of a run say nothing about the app, or an empty text when they do.

    A single late start never makes a run void: in one of fewer than 1,000 requests it would pass the share alone.
    """
    if not_sent:
        return f"{not_sent} requests that were due were not sent: {not_sent_reason}"
    late = int(np.count_nonzero(lateness_s > LATE_S))
    if late <= max(1, LATE_SHARE_MAX * len(lateness_s)):
        return ""
    return (
        f"{late} of {len(lateness_s)} requests started more than {LATE_S:g} s late, the latest by "
        f"{lateness_s.max():.3f} s: this machine was too busy to send on time"
    )


def percentile(latencies_s: NDArray[np.float64], percent: float) -> float | None:
    """
    Return the smallest of *latencies_s* that at least *percent* of them do not exceed.

    >>> percentile(np.array([0.1, 0.2, 0.3, 0.4]), 50)
    0.2
    """
    return float(np.percentile(latencies_s, percent, method="inverted_cdf")) if len(latencies_s) else None


def _tally(name: str, answers: Answers, mine: NDArray[np.bool_], lasted_s: float) -> Tally:
    status, latencies_s = answers.statuses()[mine], answers.latencies_s()[mine]
    unfinished = int(np.count_nonzero(answers.unfinished()[mine]))
    requests, answered = len(status), int(np.count_nonzero(status))
    client_errors = (status >= STATUS_CLIENT_ERROR) & (status < STATUS_SERVER_ERROR)
    late = np.count_nonzero(answers.lateness_s()[mine] > LATE_S)
    return Tally(
        name=name,
        requests=requests,
        throughput_per_s=answered / lasted_s if lasted_s > 0 else 0.0,
        p50_s=percentile(latencies_s, 50),
        p95_s=percentile(latencies_s, 95),
        p99_s=percentile(latencies_s, 99),
        errors=requests - answered - unfinished + int(np.count_nonzero(status >= STATUS_SERVER_ERROR)),
        client_errors=int(np.count_nonzero(client_errors)),
        unfinished=unfinished,
        late_share=int(late) / requests if requests else 0.0,
    )

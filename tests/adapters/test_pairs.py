"""
Two instances get the same arrivals, in turns; what they answer is told apart by side and block.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from rung.adapters.traffic import Choice, Plan, Route, pairs, report
from rung.adapters.traffic.pairs import SIDES, Turn, send_pairs
from rung.adapters.traffic.schedule import stream
from rung.errors import BadValue, LoadVoid, TargetUnreachable
from rung.steps.confirm.compared import Turns, order_of
from tests.adapters.sites import Site, site

TURNS = Turns(pairs=4, block_s=0.5, lead_s=0.1)
PLAN = Plan(
    (
        Route("/items/{item}", values={"item": Choice((1, 2, 3, 4, 5, 6, 7))}),
        Route("/broken", weight=0.5, stands_for="/broken/{way}"),
    ),
    rate_per_s=60.0,
    duration_s=2.0,
    seed=3,
)
# Nothing listens on the discard port of 127.0.0.1.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    with (
        site(lambda _: (200, 0.002)) as before,
        site(lambda path: (500 if path == "/broken" else 200, 0.002)) as after,
    ):
        yield before, after


def paths(seen: Site) -> list[str]:
    return [line for line, *_ in seen.seen]


def test_both_get_the_same_requests_in_turns(sites: tuple[Site, Site]) -> None:
    """
    Before, after, after, before, or the other way round: the same requests with the same moments within their block.
    """
    told: list[Turn] = []
    sent = send_pairs((sites[0].url, sites[1].url), PLAN, turns=TURNS, progress=told.append)

    # Requests that are due together may overtake one another on the way.
    assert sorted(paths(sites[0])) == sorted(paths(sites[1]))
    moments = sorted(
        (float(headers["x-request-start"].removeprefix("t=")), number)
        for number, each in enumerate(sites)
        for _, headers, _, _ in each.seen
    )
    turns = [number for place, (_, number) in enumerate(moments) if not place or number != moments[place - 1][1]]
    sides = [side for _, side in order_of(4, stream(PLAN.seed, "turns"))]
    assert [side for place, side in enumerate(sides) if not place or side != sides[place - 1]] == turns
    assert [(pair, 4) for pair in (1, 1, 2, 2, 3, 3, 4, 4)] == [(each.pair, each.pairs) for each in told]
    assert [SIDES[side] for side in sides] == [each.side for each in told]
    assert told[-1].progress.planned == told[-1].progress.sent == len(moments)
    assert (4, 2.0) == (sent.pairs, sent.lasted_s)


def test_what_came_is_told_by_side_route_and_block(sites: tuple[Site, Site]) -> None:
    """
    Beginnings of blocks are not measured, and errors are those of the side that made them.
    """
    sent = send_pairs((sites[0].url, sites[1].url), PLAN, turns=TURNS)

    assert ("GET /items/{item}", "GET /broken/{way}") == sent.routes
    for side, each in zip((sent.before, sent.after), sites, strict=True):
        assert each.url == side.name
        assert 0 < len(side.latency_s) < len(each.seen)
        assert [0, 1, 2, 3] == np.unique(side.block).tolist()
        assert (side.latency_s > 0.002).all()
    # The same request has the same place on both sides.
    assert sent.before.block.tolist() == sent.after.block.tolist()
    assert sent.before.route.tolist() == sent.after.route.tolist()
    assert not sent.before.failed.any()
    assert (sent.after.failed == (sent.after.route == 1)).all()


def test_a_late_sender_makes_no_comparison(sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where starts count as late, it is void, says so and proposes a lower rate.
    """
    monkeypatch.setattr(report, "LATE_S", -1.0)
    with pytest.raises(LoadVoid, match="started more than") as raised:
        send_pairs((sites[0].url, sites[1].url), PLAN, turns=TURNS)

    assert f"rung confirm --pairs {sites[0].url} {sites[1].url} --rate 30" == raised.value.steps[0][1]


def test_nothing_is_sent_where_one_does_not_answer(sites: tuple[Site, Site]) -> None:
    for urls in ((sites[0].url, NOWHERE), (NOWHERE, sites[0].url)):
        with pytest.raises(TargetUnreachable):
            send_pairs(urls, PLAN, turns=TURNS)

    assert not sites[0].seen


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (("nonsense", "http://127.0.0.1:1"), "an address such as"),
        (("http://127.0.0.1:1", "http://127.0.0.1:1/"), "another instance"),
        (("http://127.0.0.1:1", "http://127.0.0.1:2/other"), "the same path"),
        (("http://127.0.0.1:1", "http://127.0.0.1:2"), "at least 12 s"),
    ],
)
def test_what_cannot_be_compared_is_refused(urls: tuple[str, str], expected: str) -> None:
    """
    Two seconds of arrivals, an instance beside itself and what is no address are refused before anything is sent.
    """
    with pytest.raises(BadValue, match=expected):
        send_pairs(urls, PLAN)


def test_ending_it_ends_without_a_comparison(sites: tuple[Site, Site]) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        pairs.send_pairs((sites[0].url, sites[1].url), PLAN, turns=TURNS, stop=stop)

"""
Two instances of one app are sent the same load in turns: what is said of them, and what the ledger gets to know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from rung.steps import ledger
from rung.steps.ledger import OPEN, Entry
from tests.adapters.sites import Site, site
from tests.end_to_end.running import Shop
from tests.strategies import quote_of

LOAD = """\
rate = 25.0

[[routes]]
weight = 3
path = "/orders/{order}"
values.order = { from = 1, to = 5000 }

[[routes]]
path = "/home"
"""
# The shortest that is taken: six blocks of two seconds for each instance.
ASKED = ("--routes", "load.toml", "--duration", "12s")
AGAIN_S, SLOWER_S = 0.02, 0.1


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "load.toml").write_text(LOAD)
    return Shop(tmp_path, None)


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site, Site]]:
    with (
        site(lambda _: (200, AGAIN_S)) as before,
        site(lambda _: (200, AGAIN_S)) as same,
        site(lambda path: (200, SLOWER_S if path.startswith("/orders/") else AGAIN_S)) as slower,
    ):
        yield before, same, slower


def promise(shop: Shop) -> None:
    """
    Write a ledger with one move that was taken and not confirmed, about the load's first route as recordings name it.
    """
    entry = Entry(1, "query: SELECT", "before", "2026-11-23T20-33-05Z", OPEN, quote_of(route="GET /orders/{order_id}"))
    folder = shop.folder / "rung" / "ledger"
    folder.mkdir(parents=True)
    (folder / entry.file_name).write_text(tomli_w.dumps(ledger.to_tree(entry)))


@pytest.mark.timeout(180)
def test_a_slower_one_is_worse_and_the_ledger_says_so(shop: Shop, sites: tuple[Site, Site, Site]) -> None:
    """
    What the taken move promised stands beside what was measured, its entry is closed, and the undo is offered.
    """
    promise(shop)
    told = shop.rung("confirm", "--pairs", sites[0].url, sites[2].url, *ASKED)

    assert told.startswith("Verdict     Worse: ")
    assert "Route       GET /orders/{order_id}" in told
    assert "Predicted   20 ms (10 ms to 30 ms)" in told
    assert "same arrivals in turns, 6 pairs of blocks" in told
    assert "rung take --undo" in told
    (entry,) = shop.json("ledger")["entries"]
    assert ("worse", True) == (entry["state"], entry["verdict"]["interleaved"])
    assert entry["verdict"]["ratio"]["low"] > 1
    score = shop.json("ledger", "--score")["score"]
    assert ("index", 1, 0) == tuple(
        score["overall"][key] if key != "kind" else score["kinds"][0][key] for key in ("kind", "n", "held")
    )
    assert "0 of 1" in shop.rung("ledger", "--score")


@pytest.mark.timeout(180)
def test_an_instance_and_its_like_differ_in_nothing(shop: Shop, sites: tuple[Site, Site, Site]) -> None:
    """
    It is not moved, or too little to say; nothing of it is written down where nothing was taken.
    """
    told = json.loads(
        shop.rung("confirm", "--pairs", sites[0].url, sites[1].url, *ASKED, "--json", "--check", status=1)
    )

    assert told["verdict"] in {"not_moved", "too_little_data"}
    assert (True, True, 6) == (told["paired"], told["interleaved"], told["blocks"])
    assert [sites[0].url, sites[1].url] == [told["before"]["recording"], told["after"]["recording"]]
    assert told["before"]["n"] == told["after"]["n"] > 0
    assert "/orders/{order}" in told["route"] or "/home" in told["route"]
    assert "Score       nothing confirmed yet" in shop.rung("ledger", "--score")
    assert not (shop.folder / "rung" / "ledger").exists()


@pytest.mark.timeout(60)
def test_what_cannot_be_compared_says_what_to_type(shop: Shop, sites: tuple[Site, Site, Site]) -> None:
    """
    Nothing is sent where an address is none, nobody answers, or the load is too short; flags go with --pairs.
    """
    here = sites[0].url
    for arguments, code, words in (
        (("--pairs", here, "nonsense", *ASKED), "bad-value", "an address such as"),
        (("--pairs", here, "http://127.0.0.1:9", *ASKED), "target-unreachable", "127.0.0.1:9"),
        (("--pairs", here, sites[1].url, "--rate", "5", "--duration", "5s"), "bad-value", "at least 12 s"),
        (("--pairs", here), "usage", "two instances"),
        (("--pairs", here, sites[1].url, "--speed", "2"), "usage", "--replay"),
        (("--pairs", here, sites[1].url, "--move", "index", *ASKED), "ledger", "has no move 'index'"),
        (("before", "after", "--rate", "5"), "usage", "--pairs"),
    ):
        error = json.loads(shop.rung("confirm", *arguments, "--json", status=2))["error"]
        assert code == error["code"]
        assert words in error["message"]
    assert not sites[0].seen

"""
Which recordings are read together, and what of them counts once.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from rung.adapters.fleet import span
from rung.adapters.fleet.gather import gathered
from rung.adapters.fleet.layout import Kept, kept_of, place_of
from rung.adapters.fleet.push import push
from rung.adapters.fleet.reading import Cache
from rung.adapters.fleet.span import Held, Span
from rung.adapters.fleet.store import Store, Stored
from rung.adapters.opening import opened
from rung.adapters.shelf import RECORDINGS
from rung.config import settle
from rung.errors import BadValue, RecordingMissing, RecordingTooNew, RungError, UsageError
from rung.ports import Manifest, RecordingFacts, Rows
from rung.steps.find import notes
from rung.surfaces.spans import asked_span
from tests.fleets.simulated import BEGAN_S, Fleet, write

FLEET = Fleet(hosts=3, instances=1, hours=2, requests=4)
TABLES = ("requests", "activity", "statement_totals", "hosts", "programs")


def held(host: str, from_s: float, until_s: float, *, ended: bool = True, **database: Any) -> Held:
    place = f"2026-11-28T00-00-00Z-shop/{host}-{from_s:g}"
    objects = {table: (Stored(f"{place}/{table}.parquet", 1, "e"),) for table in TABLES}
    manifest = {"started_s": from_s, "ended_s": until_s, "host": host, "sampled": {"database": database}}
    return Held(Kept(place, f"{place}/recording.json", ended, objects), manifest)


def hosts(chosen: span.Chosen) -> list[str]:
    return sorted(stored.key.split("/")[1] for stored in chosen.all)


def within(asked: Span, *found: Held) -> list[str]:
    return [each.kept.place.split("/")[1] for each in span.within(asked, found)]


def test_a_recording_is_within_a_span_as_a_whole() -> None:
    hours = [held("a", 0, 3600), held("a", 3600, 7200), held("b", 3601, 7201), held("b", 7201, 7800, ended=False)]
    asked = Span("s3://b/p", since_s=3600, until_s=7200)
    assert ["a-3600", "b-3601"] == within(asked, *hours)
    assert ["a-3600", "b-3601", "b-7201"] == within(Span("s3://b/p", since_s=5000), *hours)
    # The newest that has ended, and what was recorded at the same time.
    assert ["a-3600", "b-3601"] == within(Span("s3://b/p"), *hours)
    # A short span inside of a long recording is of it.
    assert ["a-0"] == within(Span("s3://b/p", since_s=100, until_s=200), *hours)
    assert [] == within(Span("s3://b/p"))


def test_names_that_cannot_lie_within_are_not_looked_at() -> None:
    names = [f"2026-11-{day}T00-00-00Z-shop" for day in (20, 27, 28)]
    assert names[1:] == span.names_within(Span("s3://b/p"), [*names, "parts", "else"])
    assert names[:1] == span.names_within(Span("s3://b/p", name="2026-11-20"), names)
    assert [] == span.names_within(Span("s3://b/p"), [])


def test_one_server_that_many_look_at_counts_once() -> None:
    found = [held(host, 0, 3600, database=f"{address}:5432/shop", server="x") for host, address in ("ad", "bd", "ce")]
    chosen = span.chosen(found)
    assert ["a-0"] == hosts(chosen["activity"]) == hosts(chosen["statement_totals"])
    assert ["a-0", "b-0", "c-0"] == hosts(chosen["requests"])
    assert () == span.namesakes(found)


def test_one_after_the_other_they_all_count() -> None:
    found = [held(host, from_s, from_s + 3600, database="d:5432/shop", server="x") for host, from_s in
             (("a", 0.0), ("b", 3600.0), ("b", 0.0))]  # fmt: skip
    assert ["a-0", "b-3600"] == hosts(span.chosen(found)["statement_totals"])


def test_two_servers_of_one_address_are_not_mixed() -> None:
    found = [held(host, 0, 3600, database="localhost:5432/shop", server=host) for host in "ab"]
    assert ["a-0"] == hosts(span.chosen(found)["statement_totals"])
    assert ("b's localhost:5432/shop",) == span.namesakes(found)


def test_two_databases_of_one_server_have_both_their_counts() -> None:
    found = [held(host, 0, 3600, database=f"d:5432/{host}", server="x") for host in "ab"]
    chosen = span.chosen(found)
    assert ["a-0", "b-0"] == hosts(chosen["statement_totals"])
    assert ["a-0"] == hosts(chosen["activity"])


def test_of_two_collectors_on_a_host_one_tells_of_the_host() -> None:
    found = [held("a", 0, 3600), held("a", 1, 3600)]
    chosen = span.chosen(found)
    assert ["a-0"] == hosts(chosen["hosts"]) == hosts(chosen["programs"])
    assert ["a-1"] == [stored.key.split("/")[1] for stored in chosen["programs"].app]


def test_parts_count_up_to_their_newest_manifest() -> None:
    place = "2026-11-28T00-00-00Z-shop/a-1"
    names = [
        "requests-000001.parquet", "requests-000002.parquet", "requests-000003.parquet", "processes-000001.parquet",
        "processes-000002.parquet", "recording-000001.json", "recording-000002.json",
    ]  # fmt: skip
    (kept,) = kept_of([], [Stored(f"parts/{place}/{name}", 1, "e") for name in names])
    assert ["000001", "000002"] == [stored.key[-14:-8] for stored in kept.objects["requests"]]
    assert ["000002"] == [stored.key[-14:-8] for stored in kept.objects["processes"]]
    assert not kept.ended
    whole = [Stored(f"{place}/{name}", 1, "e") for name in ("requests.parquet", "recording.json")]
    (kept,) = kept_of(whole, [Stored(f"parts/{place}/{name}", 1, "e") for name in names])
    assert kept.ended
    assert [f"{place}/requests.parquet"] == [stored.key for stored in kept.objects["requests"]]
    assert [] == kept_of(whole[:1], [])


def test_a_place_is_of_the_recording_alone(tmp_path: Path) -> None:
    folder = tmp_path / "2026-11-28T00-00-00Z-shop"
    folder.mkdir()
    assert f"{folder.name}/web-1.eu-abc" == place_of(folder, {"host": "web/1.eu", "id": "abc"})
    older = {"name": "shop", "started_s": 1.0, "rung": "0.1"}
    assert place_of(folder, older) == place_of(folder, dict(older)) != place_of(folder, {**older, "started_s": 2.0})


def test_clocks_and_namesakes_are_told_where_they_differ(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/store")
    for host, server in (("a", "x"), ("bbbbbb", "y")):
        push(
            write(tmp_path / host, FLEET, [(0, 0)], [0], name=host, host=host, database=0, server=server,
                  label="localhost:5432/shop"),
            store,
        )  # fmt: skip
    recording = opened(tmp_path / RECORDINGS / gathered(tmp_path, store.url))
    facts = recording.manifest(Manifest())
    assert (("a", 0.001, 0.0002), ("bbbbbb", 0.006, 0.0002)) == facts.clocks
    assert ("bbbbbb's localhost:5432/shop",) == facts.namesakes
    told = notes._of_many_hosts(facts)
    assert "bbbbbb's is 6 ms (± 200 µs) behind" in told[0]
    assert "bbbbbb's localhost:5432/shop" in told[1]
    alike = RecordingFacts("n", True, 1, 0, 0, clocks=(("a", 0.001, 0.0006), ("b", 0.002, 0.0006)))
    assert [] == notes._of_many_hosts(alike)


def test_what_a_newer_rung_sent_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", FLEET, [(0, 0)], [0], name="shop", host="a", database=None)
    told = json.loads((folder / "recording.json").read_text("utf-8"))
    (folder / "recording.json").write_text(json.dumps({**told, "format": 99, "rung": "9.9"}), "utf-8")
    store = Store(f"file://{tmp_path}/store")
    push(folder, store)
    with pytest.raises(RecordingTooNew):
        gathered(tmp_path, store.url)
    with pytest.raises(RecordingMissing, match="since 2026"):
        gathered(tmp_path, store.url, since_s=BEGAN_S + 1e6)


def test_only_the_asked_tables_are_fetched_and_the_cache_is_bounded(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/store")
    push(write(tmp_path / "a", FLEET, [(0, 0)], [0], name="shop", host="a", database=0), store)
    path = tmp_path / RECORDINGS / gathered(tmp_path, store.url)
    recording = opened(path)
    assert len(recording.rows(Rows("select request from requests"))["request"])
    cache = tmp_path / "cache" / "fleet"
    assert 1 == len(list(cache.iterdir()))
    recording.rows(Rows("select seam from segments join requests using (host, instance, worker, request)"))
    assert 2 == len(list(cache.iterdir()))
    recording.rows(Rows("select at_s from hosts"))
    # Of an old look nothing stays beyond the bound; what is asked for now does, and what was removed comes again.
    again = opened(path, None, 1)
    assert len(again.rows(Rows("select at_s from activity"))["at_s"])
    assert 1 == len(list(cache.iterdir()))
    assert len(opened(path).rows(Rows("select request from requests"))["request"])
    assert 2 == len(list(cache.iterdir()))
    assert Cache(cache, "s3://other", 1)._name("k", "e") != Cache(cache, "s3://another", 1)._name("k", "e")


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"since": "2h"}, UsageError),
        ({"since": "2h", "recording": "local"}, UsageError),
        ({"since": "soon", "recording": "s3://b/p"}, BadValue),
        ({"from_": "soon", "recording": "s3://b/p"}, BadValue),
        ({"since": "2h", "from_": "2026-11-28", "recording": "s3://b/p"}, UsageError),
        ({"from_": "2026-11-28", "until": "2026-11-27", "recording": "s3://b/p"}, UsageError),
    ],
)
def test_times_that_say_nothing(typed: dict[str, str], error: type[RungError]) -> None:
    nothing = {"since": None, "from_": None, "until": None}
    settings = settle(file_text=None, environ={}, flags={})
    with pytest.raises(error):
        asked_span(argparse.Namespace(**{**nothing, **typed}), typed.get("recording"), settings)


def test_a_time_is_of_the_fleet_in_the_settings_too() -> None:
    settings = settle(file_text="[fleet]\nprefix = 's3://b/p/'", environ={}, flags={})
    typed = argparse.Namespace(since=None, from_="2026-11-28T01:00+01:00", until="2026-11-28T01:00")
    assert ("s3://b/p", 1795824000.0, 1795827600.0) == asked_span(typed, None, settings)


@pytest.mark.parametrize("setting", ["folder = 's3://b/p'", "[fleet]\nprefix = 'b/p'", "[fleet]\nevery = '2h'"])
def test_settings_that_name_no_place(setting: str) -> None:
    with pytest.raises(BadValue):
        settle(file_text=setting, environ={}, flags={})

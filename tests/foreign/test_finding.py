"""
What is said of traces that others recorded, and what is not pretended of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rung import wire
from rung.loop import Look
from rung.ports import Foreign
from rung.steps.find.foreign import UNSEEN, notes_on_foreign
from rung.steps.price.quote import NO_PRICE
from rung.surfaces import text
from tests.foreign.written import CLIENT, GET, INTERNAL, LOOKUP, SERVER, Read, document, line, span
from tests.strategies import Row, profile


def look(folder: Path, latency: str, statement: int = 200) -> Look:
    """
    A look at 120 requests of 250 ms, in each of which a statement takes *statement* milliseconds.
    """
    spans = []
    for number in range(120):
        at = 300 * number
        spans.append(span(1, kind=SERVER, told=GET, trace=number + 1, at=at, took=250))
        spans.append(span(2, 1, kind=CLIENT, told=LOOKUP, trace=number + 1, at=at + 10, took=statement))
        spans.append(span(3, 1, kind=INTERNAL, name="render", trace=number + 1, at=at + 220, took=20))
    read = Read(folder, line(document(spans)))
    work = wire.workplace({"goal.latency": latency}, database=None, folder=folder, asks=False)
    with work.loop() as loop:
        return loop.look(read.name)


def test_the_time_of_no_span_is_the_apps_own_and_no_more_than_that(tmp_path: Path) -> None:
    found = look(tmp_path, "10ms", statement=20).finding

    assert found.bottleneck is not None
    assert ("other", "") == (found.bottleneck.part.seam, found.bottleneck.part.name)
    assert "84 % of the time is the app's own, which these traces do not take apart" in found.notes[1]
    # A span of the app's own has its name, and is not said to compute either.
    assert "render" in {each.name for exemplar in found.exemplars for each in exemplar.spans}
    assert not any("queue" in note and "X-Request-Start" in note for note in found.notes)


def test_where_the_goal_holds_nothing_is_said_of_more_traffic(tmp_path: Path) -> None:
    """
    No trace shows what is shared: simulated, it would bear any amount.
    """
    seen = look(tmp_path, "2s")

    assert ("nothing", None) == (seen.finding.verdict, seen.finding.simulated.headroom)
    words = " ".join(text.finding_text(seen).split())
    assert "How much more traffic it would bear (the goal asks 2×) is not known." in words
    assert "all kept" not in words


def test_moves_that_rest_on_what_no_span_shows_have_no_price(tmp_path: Path) -> None:
    seen = look(tmp_path, "100ms")

    assert seen.finding.bottleneck is not None
    assert "query" == seen.finding.bottleneck.part.seam
    refused = [quote for quote in seen.quotes if quote.verdict == NO_PRICE]
    assert {"pool", "keepopen", "workers", "threads", "instance"} <= {quote.kind for quote in refused}
    assert all(
        quote.predicted is None and quote.reason.startswith("these traces do not show ")
        for quote in refused
        if quote.kind in UNSEEN
    )
    assert all(quote.bears_per_s is None for quote in seen.quotes)


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        (Foreign("otlp"), "They have no spans of statements or calls to other services or caches."),
        (Foreign("jaeger", seams=("query", "external", "cache")), "Traces of Jaeger: they show no waiting"),
        (Foreign("otlp", kept_share=0.1), "Sampled: about 10 % of the requests are here"),
        (
            Foreign("otlp", unread=1, unread_first="a.jsonl:3: x"),
            "1 span or line could not be read (first, a.jsonl:3: x)",
        ),
        (Foreign("otlp", shifted=3, duplicates=1), "3 spans were moved because clocks differ; 1 span was there twice."),
        (Foreign("otlp", orphans=2), "2 spans belong to requests that are not here."),
    ],
)
def test_what_is_said_first(foreign: Foreign, said: str) -> None:
    ours = profile([Row(due_s=float(number), duration_s=0.1) for number in range(3)])

    notes = notes_on_foreign(ours, foreign)
    assert len(notes) <= 3
    assert said in " ".join(notes)

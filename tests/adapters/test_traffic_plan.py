"""
A load file is read as it is meant, and gives the same requests each time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.adapters.traffic import (
    Choice,
    Draw,
    Plan,
    Route,
    origin_of,
    plan_of_url,
    read_plan,
    schedule,
)
from rung.adapters.traffic.plan import REQUESTS_MAX
from rung.adapters.traffic.schedule import arrivals, draws
from rung.errors import BadFile, BadValue, RungError, UnknownName
from tests.adapters.load_files import SHOP


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
    return Plan(routes, draw(st.floats(0.5, 60)), draw(st.floats(0.1, 5)), draw(st.integers(0, 2**32)))


@settings(deadline=None, max_examples=40)
@given(plans())
def test_the_same_plan_gives_the_same_requests(plan: Plan) -> None:
    assert list(schedule(plan)) == list(schedule(plan))


@settings(deadline=None, max_examples=40)
@given(plans())
def test_requests_are_due_in_order_and_within_the_duration(plan: Plan) -> None:
    at_s = [due.at_s for due in schedule(plan)]

    assert sorted(at_s) == at_s
    assert all(0 <= one < plan.duration_s for one in at_s)


@settings(deadline=None, max_examples=40)
@given(plans())
def test_a_longer_run_only_adds_to_the_end(plan: Plan) -> None:
    short, long = list(schedule(plan)), list(schedule(replace(plan, duration_s=plan.duration_s * 2)))

    assert short == long[: len(short)]


@settings(deadline=None, max_examples=40)
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


@settings(deadline=None, max_examples=40)
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
        (
            "rate = 1\n" + ROUTE + VALUE + "from = 3\nto = 2",
            BadValue,
            "values.id.from cannot be 3.*at most its 'to', 2",
        ),
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
    with pytest.raises(BadFile, match=r"none\.toml: No such file"):
        read_plan(tmp_path / "none.toml", duration_s=1)


def test_a_plan_is_bounded() -> None:
    with pytest.raises(BadValue, match=f"one run may have {REQUESTS_MAX}"):
        plan_of_url("http://127.0.0.1/", rate=5001, duration_s=1000)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a/", "http://", "http://a:99999/", "http://[::1/"])
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(BadValue, match="URL cannot be"):
        origin_of(url)

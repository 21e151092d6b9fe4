"""
Settings: which source wins, what is refused and how it is told; amounts with their units.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.adapters.collector.views.asked import Asked, asked_for, taken
from rung.adapters.collector.views.asked import given as handed
from rung.config import FILE_NAME, TABLE, Settings, settle, variable
from rung.errors import BadFile, BadValue, UnknownName
from rung.units import (
    BYTES_BY_UNIT,
    SECONDS_BY_UNIT,
    UnitError,
    seconds,
    share,
    show_bytes,
    show_count,
    show_seconds,
    show_share,
    size_bytes,
)

FILE = '[goal]\nlatency = "200ms"\n'


def from_file(text: str) -> Settings:
    return settle(file_text=text, environ={}, flags={})


def test_defaults_hold_where_nothing_is_given() -> None:
    """
    Without file, variable or flag each setting has its default, and says so.
    """
    settings = settle(file_text=None, environ={}, flags={})

    assert Settings() == settings
    assert (95, 0.3, 2.0, 0.01, 300.0) == (
        settings.goal_percentile, settings.goal_latency_s, settings.goal_headroom, settings.goal_errors_share,
        settings.index_lock_timeout_s,
    )  # fmt: skip
    assert {"default"} == {settings.source(name) for name in TABLE}


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default() -> None:
    """
    Each source overrides those below it, and the setting says where it came from.
    """
    environ = {"RUNG_GOAL_LATENCY": "100ms", "RUNG_UNKNOWN": "x", "PATH": "/bin"}
    steps = [
        settle(file_text=None, environ={}, flags={"goal.latency": None}),
        settle(file_text=FILE, environ={}, flags={"goal.latency": None}),
        settle(file_text=FILE, environ=environ, flags={"goal.latency": None}),
        settle(file_text=FILE, environ=environ, flags={"goal.latency": "50ms"}),
    ]

    assert [0.3, 0.2, 0.1, 0.05] == [settings.goal_latency_s for settings in steps]
    assert ["default", FILE_NAME, "RUNG_GOAL_LATENCY", "--latency"] == [
        settings.source("goal.latency") for settings in steps
    ]


def test_a_mistyped_setting_is_answered_with_the_one_meant() -> None:
    """
    An unknown key is refused with the nearest known one.
    """
    with pytest.raises(UnknownName) as raised:
        from_file('[goal]\nlatancy = "200ms"\n')

    assert "goal.latency" == raised.value.closest
    assert "did you mean 'goal.latency'?" in raised.value.message and FILE_NAME in raised.value.message


@pytest.mark.parametrize("text", ["goal = 3", "[[goal]]\nlatency = '1s'", "[gaol]\nlatency = '1s'", "colour = 'red'"])
def test_an_unknown_name_is_refused(text: str) -> None:
    """
    A key, a table or a list that is no setting is never passed over.
    """
    with pytest.raises(UnknownName):
        from_file(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("goal.latency = 300", "a time such as '300ms'"),
        ("goal.latency = '300'", "a time such as '300ms'"),
        ("goal.latency = '300 bananas'", "a time such as '300ms'"),
        ("goal.latency = '0s'", "a time such as '300ms'"),
        ("goal.latency = '-1s'", "a time such as '300ms'"),
        ("goal.latency = true", "a time such as '300ms'"),
        ("goal.latency = ['300ms']", "a time such as '300ms'"),
        ("goal.latency.at = '300ms'", "a time such as '300ms'"),
        ("goal.latency = 2026-01-01", "a time such as '300ms'"),
        ("goal.percentile = 99.9", "a percentile from 50 to 99"),
        ("goal.percentile = 100", "a percentile from 50 to 99"),
        ("goal.headroom = 0.5", "a factor of at least 1"),
        ("goal.headroom = nan", "a factor of at least 1"),
        ("goal.errors = '1 MB'", "a share such as '1 %'"),
        ("goal.errors = '150 %'", "a share such as '1 %'"),
        ("goal.errors = 5", "a share such as '1 %'"),
        ("load.seed = '1.5'", "a whole number"),
        ("load.seed = -1", "a whole number"),
        ("index.lock_timeout = '200ms'", "a time such as '5m'"),
        ("folder = 3", "a folder"),
    ],
)
def test_a_value_of_the_wrong_kind_or_unit_is_refused(line: str, expected: str) -> None:
    """
    What does not fit is told with the value, where it stood, and what it takes.
    """
    with pytest.raises(BadValue) as raised:
        from_file(line)

    assert raised.value.expected.startswith(expected)
    assert FILE_NAME in raised.value.message


def test_values_may_be_written_as_toml_has_them() -> None:
    """
    A number needs no quotes where it has no unit, and tables may be written as dotted keys.
    """
    settings = from_file("goal.percentile = 'p99'\ngoal.headroom = 3\ngoal.errors = 0.00001\nload.seed = 7\n")

    assert (99, 3.0, 1e-5, 7) == (
        settings.goal_percentile, settings.goal_headroom, settings.goal_errors_share, settings.load_seed,
    )  # fmt: skip


def test_a_wrong_variable_is_named() -> None:
    """
    A bad value from the environment is told with its variable.
    """
    with pytest.raises(BadValue, match="RUNG_GOAL_LATENCY"):
        settle(file_text=FILE, environ={"RUNG_GOAL_LATENCY": "soon"}, flags={})


def test_a_file_that_is_no_toml_is_refused() -> None:
    """
    A broken file is told with the line.
    """
    with pytest.raises(BadFile, match="line 1"):
        from_file("[goal\n")


def test_every_setting_has_its_row_in_the_table() -> None:
    """
    Each field has a name, a help that is a sentence, and a default that parses to the field's own.
    """
    rows = [field for field in dataclasses.fields(Settings) if field.name != "sources"]

    assert {row.metadata["name"] for row in rows} == set(TABLE)
    for name, row in TABLE.items():
        assert row.metadata["help"].endswith(".") and row.metadata["expected"]
        assert row.default == row.metadata["parse"](row.metadata["default"])
        assert row.name.startswith(name.replace(".", "_"))
        assert variable(name).isupper()


@given(amount=st.integers(0, 10**6), unit=st.sampled_from(sorted(SECONDS_BY_UNIT)), blank=st.sampled_from(["", " "]))
def test_times_are_read_in_every_unit(amount: int, unit: str, blank: str) -> None:
    """
    A number with a unit is that many of it, in seconds.
    """
    assert amount * SECONDS_BY_UNIT[unit] == seconds(f"{amount}{blank}{unit}")


@given(amount=st.integers(0, 10**6), unit=st.sampled_from(sorted(BYTES_BY_UNIT)))
def test_sizes_are_read_in_powers_of_1024(amount: int, unit: str) -> None:
    """
    A number with a unit is that many of it, in bytes.
    """
    assert amount * BYTES_BY_UNIT[unit] == size_bytes(f"{amount} {unit}")


@given(value_s=st.floats(1e-6, 99))
def test_a_time_shown_and_read_again_is_the_same_to_three_digits(value_s: float) -> None:
    """
    What is shown below two minutes is read again as what it was, within half a percent.
    """
    assert pytest.approx(value_s, rel=0.0051) == seconds(show_seconds(value_s))


@given(value_bytes=st.integers(1, 10**14))
def test_a_size_shown_and_read_again_is_the_same_to_three_digits(value_bytes: int) -> None:
    """
    What is shown is read again as what it was, within half a percent.
    """
    assert pytest.approx(value_bytes, rel=0.0051, abs=1) == size_bytes(show_bytes(value_bytes))


@pytest.mark.parametrize("text", ["", "ms", "-1s", "1e3s", "1,5s", "300", "1s 2s", "\u0661s", "nan s", "inf"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """
    Nothing is guessed at: a sign, an exponent, a comma, no number or no unit is refused.
    """
    with pytest.raises(UnitError):
        seconds(text)


@pytest.mark.parametrize(
    ("value_s", "shown"),
    [
        (0.0, "0 s"), (-0.25, "-250 ms"), (0.00099949, "999 µs"), (0.00099951, "1 ms"), (0.99949, "999 ms"),
        (0.9996, "1 s"), (9.996, "10 s"), (59.99, "60 s"), (99.94, "99.9 s"), (99.96, "1 min 40 s"),
        (119.6, "2 min 0 s"), (3599.7, "1 h 0 min"), (90_000.0, "25 h 0 min"), (float("nan"), "unknown"),
        (float("inf"), "unknown"),
    ],
)  # fmt: skip
def test_times_are_shown_in_the_unit_people_use(value_s: float, shown: str) -> None:
    """
    Three digits, no rounding up into a unit that would need four, and no failure on what is no number.
    """
    assert shown == show_seconds(value_s)


def test_counts_and_shares_are_shown_for_people() -> None:
    """
    Thousands are separated, and a small share keeps a digit.
    """
    assert ("1,000,000", "0") == (show_count(1e6), show_count(0.4))
    assert ("0 %", "0.4 %", "1 %", "31 %", "250 %") == tuple(map(show_share, (0, 0.004, 0.01, 0.314, 2.5)))
    assert (0.5, 0.5) == (share("50%"), share("0.5"))
    assert ("812 B", "1 kB", "34 MB", "9.77 GB") == tuple(
        map(show_bytes, (812, 1023, 34 * 1024**2, 10 * 1000**3 * 1.049))
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "127.0.0.1:9464"), ("off", ""), ("", ""), ("9000", "127.0.0.1:9000"), ("0.0.0.0:9000", "0.0.0.0:9000"),
        ("[::1]:9464", "[::1]:9464"),
    ],
)  # fmt: skip
def test_where_metrics_are_served(text: str, expected: str) -> None:
    """
    On, a port or an address: nobody else than this machine reaches what names no host.
    """
    assert expected == settle(file_text=None, environ={"RUNG_METRICS_LISTEN": text}, flags={}).metrics_listen


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.listen", "localhost"), ("metrics.listen", "::1:9464"), ("metrics.listen", "70000"),
        ("otlp.endpoint", "localhost:4318"), ("otlp.endpoint", "http://me:secret@host"), ("otlp.endpoint", "ftp://a"),
        ("otlp.headers", "api-key=secret"), ("otlp.samples", "-1"),
    ],
)  # fmt: skip
def test_addresses_and_headers_that_are_none_are_refused(name: str, text: str) -> None:
    """
    An address with a password in it, or a header that stands in the file, is refused as any other mistake.
    """
    with pytest.raises(BadValue, match=name):
        settle(file_text=None, environ={variable(name): text}, flags={})


def test_opentelemetrys_headers_go_to_its_own_address_alone() -> None:
    """
    Only `on` takes what the variables of OpenTelemetry say; a key for one receiver is not sent to another.
    """
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://a.example/otlp/", "OTEL_EXPORTER_OTLP_HEADERS": "key=a%3Db,x = y",
        "OTEL_SERVICE_NAME": "shop", "MINE": "key=c",
    }  # fmt: skip

    def asked(**given: str) -> Asked:
        settings = settle(file_text=None, environ=given, flags={})
        return asked_for(settings, "name", environment)

    assert Asked(service="shop") == asked()
    standard = asked(RUNG_OTLP_ENDPOINT="on", RUNG_OTLP_SERVICE="till")
    assert ("https://a.example/otlp", {"key": "a=b", "x": "y"}, "till") == (
        standard.otlp, standard.headers, standard.service
    )  # fmt: skip
    assert {} == asked(RUNG_OTLP_ENDPOINT="http://b.example").headers
    assert {"key": "c"} == asked(RUNG_OTLP_ENDPOINT="http://b.example", RUNG_OTLP_HEADERS="env:MINE").headers
    assert (
        "http://localhost:4318"
        == asked_for(settle(file_text=None, environ={"RUNG_OTLP_ENDPOINT": "on"}, flags={}), "name", {}).otlp
    )
    environment["OTEL_EXPORTER_OTLP_HEADERS"] = "secret without a name"
    with pytest.raises(BadValue) as refused:
        asked(RUNG_OTLP_ENDPOINT="on")
    assert "secret" not in str(refused.value)


def test_what_is_asked_for_reaches_a_collector_and_nobody_behind_it() -> None:
    """
    A variable hands it over, headers included, and is gone once it was read.
    """
    given = Asked(listen=("::1", 9464), otlp="http://a", headers={"key": "c"}, service="shop", goal_s=0.1, samples=3)
    environment = {"PATH": "/bin", **handed(given)}
    assert given == taken(environment)
    assert {"PATH": "/bin"} == environment
    assert "'c'" not in repr(given)
    assert taken({}) is None
    assert {} == handed(Asked()) == handed(None)

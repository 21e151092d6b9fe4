"""
Turn seconds and bytes into words for people, and people's words into seconds and bytes.

Everywhere else in rung a time is in seconds and a size in bytes; "ms", "MB" and "12m" exist only here.

In        "300ms", "1.5 s", "12m", "34 MB", "1 %", or a float
Out       a float or int in the base unit, or a short text
Not here  settings (config.py), tables and colours (surfaces/text.py)
"""

from __future__ import annotations

import math
import re

SECONDS_BY_UNIT = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# PostgreSQL's own convention: its kB, MB and GB are powers of 1024.
BYTES_BY_UNIT = {"B": 1, "kB": 1024, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%]*)\s*\Z")


class UnitError(ValueError):
    """
    A text is not an amount of the asked kind; the message names the text and the units that would do.
    """


def seconds(text: str) -> float:
    """
    Return *text* as seconds.

    >>> seconds("300ms"), seconds("12m"), seconds("1.5 s")
    (0.3, 720.0, 1.5)
    """
    return _amount(text, SECONDS_BY_UNIT, example="300ms")


def size_bytes(text: str) -> int:
    """
    Return *text* as bytes, with PostgreSQL's powers of 1024.

    >>> size_bytes("34 MB")
    35651584
    """
    return round(_amount(text, BYTES_BY_UNIT, example="64MB"))


def milliseconds(value: float) -> float:
    """
    Return milliseconds, as PostgreSQL tells them, as seconds.

    >>> milliseconds(250)
    0.25
    """
    return value / 1e3


def of_microseconds(count: int) -> float:
    """
    Return microseconds, as Jaeger counts them, as seconds.

    >>> of_microseconds(1_500_000)
    1.5
    """
    return count / 10**6


def of_nanoseconds(count: int) -> float:
    """
    Return nanoseconds, as OpenTelemetry counts them, as seconds.

    >>> of_nanoseconds(1_500_000_000)
    1.5
    """
    return count / 10**9


def kilobytes(value: float) -> int:
    """
    Return kB, as PostgreSQL tells memory and disk, as bytes.

    >>> kilobytes(4)
    4096
    """
    return round(value * 1024)


def nanoseconds(value_s: float) -> int:
    """
    Return seconds as OTLP and protobuf count them.

    >>> nanoseconds(1.5)
    1500000000
    """
    return round(value_s * 1e9)


def share(text: str) -> float:
    """
    Return *text*, a percentage or a plain fraction, as a fraction of one.

    >>> share("1 %"), share("0.25")
    (0.01, 0.25)
    """
    return _amount(text, {"%": 0.01, "": 1.0}, example="1 %")


def _amount(text: str, units: dict[str, float] | dict[str, int], *, example: str) -> float:
    match = _AMOUNT.match(text)
    if match is None or match[2] not in units:
        known = ", ".join(unit or "none" for unit in units)
        raise UnitError(f"{text!r} is not an amount with one of the units {known}; write it as {example!r}")
    return float(match[1]) * units[match[2]]


def show_seconds(value_s: float) -> str:
    """
    Return a time with three significant digits in the unit people use for it.

    >>> show_seconds(1.84), show_seconds(0.2134), show_seconds(0.000004), show_seconds(252)
    ('1.84 s', '213 ms', '4 µs', '4 min 12 s')
    """
    if not math.isfinite(value_s):
        return "unknown"
    if value_s < 0:
        return "-" + show_seconds(-value_s)
    if value_s == 0:
        return "0 s"
    if value_s < 0.9995e-3:
        return f"{_three_digits(value_s * 1e6)} µs"
    if value_s < 0.9995:
        return f"{_three_digits(value_s * 1e3)} ms"
    if value_s < 99.95:
        return f"{_three_digits(value_s)} s"
    minutes, rest_s = divmod(round(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest_s} s"


def show_roughly(value_s: float) -> str:
    """
    Return a duration to one digit, of what is only known roughly.

    >>> show_roughly(2.7), show_roughly(0.043), show_roughly(140), show_roughly(3 * 3600)
    ('3 s', '40 ms', '2 min', '3 h')
    """
    for unit, unit_s in (("h", 3600.0), ("min", 60.0)):
        if value_s >= 1.5 * unit_s:
            return f"{round(value_s / unit_s)} {unit}"
    return show_seconds(float(f"{value_s:.0e}"))


def show_bytes(value_bytes: float) -> str:
    """
    Return a size in PostgreSQL's units.

    >>> show_bytes(35651584), show_bytes(812)
    ('34 MB', '812 B')
    """
    amount, unit = float(value_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1024, larger
    return f"{_three_digits(amount)} {unit}"


def megabytes_up(value_bytes: float) -> str:
    """
    Return a size as a setting of PostgreSQL's takes it, rounded up to something that a person would type.

    >>> megabytes_up(5_000_000), megabytes_up(70_000_000), megabytes_up(300_000_000)
    ('5MB', '70MB', '300MB')
    """
    least = max(math.ceil(value_bytes / 1024**2), 1)
    step = 1 if least < 20 else 10 if least < 200 else 50
    return f"{math.ceil(least / step) * step}MB"


def show_count(value: float) -> str:
    """
    Return a whole number with thousands separated.

    >>> show_count(25210)
    '25,210'
    """
    return f"{round(value):,}"


def show_share(value: float) -> str:
    """
    Return a fraction of one as a percentage, with a digit behind the point only where it is small.

    >>> show_share(0.314), show_share(0.004), show_share(0.0004), show_share(0)
    ('31 %', '0.4 %', '<0.1 %', '0 %')
    """
    percent = value * 100
    if 0 < abs(percent) < 0.05:
        return "<0.1 %"
    return f"{percent:.1f} %" if 0 < abs(percent) < 1 else f"{percent:.0f} %"


def show_change(value: float) -> str:
    """
    Return by what fraction of one something is more or less, as a percentage with its sign.

    >>> show_change(0.0314), show_change(-0.25), show_change(-0.0001)
    ('+3.1 %', '−25 %', '0 %')
    """
    text = f"{abs(value * 100):.1f}".removesuffix(".0") if abs(value) < 0.1 else f"{abs(value * 100):.0f}"
    return f"{'' if text == '0' else '+' if value > 0 else '−'}{text} %"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    text = f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")

"""
Put a logged line into the names that OpenTelemetry's logs data model and semantic conventions give its parts.

In        a line with what is known of the unit of work that logged it
Out       a flat mapping, for one JSON object a line
Not here  writing it (surfaces/logs.py, adapters/collector/log_file.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rung.errors import BadValue
from rung.trace_context import span_of, trace_of

# The standard library's levels, and where OpenTelemetry's ranges of four begin.
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_NAMES = {level: name for name, level in LEVELS.items()}
_LEVEL_STEP, _RANGE = 10, 4


@dataclass(frozen=True, slots=True)
class Logged:
    """
    A line of one process.

    Attributes:
        key: Of its process, None where that had none.
        request, segment: Who logged it, -1 for nobody.
        template: None where the text was put together before it was logged.
        kind, route, method: Of the unit of work, "" where that is not known.
        follows: Of background work, the request that it follows, else -1.
        trace: The one that came with the request, "" where it began one.
    """

    host: str
    instance: str
    worker: int
    key: int | None
    request: int
    segment: int
    at_s: float
    level: int
    logger: str
    template: str | None
    code: str
    error: str
    kind: str = ""
    route: str = ""
    method: str = ""
    follows: int = -1
    trace: str = ""


def level_of(text: str) -> int:
    """
    Return the number of a level that is given by name or number.

    >>> level_of("warning"), level_of("15")
    (30, 15)
    """
    name = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text.upper(), text.upper())
    if name in LEVELS:
        return LEVELS[name]
    if text.isdecimal():
        return int(text)
    raise BadValue("--level", text, expected="a level such as 'warning'")


def level_name(level: int) -> str:
    """
    Return what a level is called.

    >>> level_name(30), level_name(25)
    ('WARNING', 'LEVEL 25')
    """
    return _NAMES.get(level, f"LEVEL {level}")


def severity_number(level: int) -> int:
    """
    Return the number that OpenTelemetry has for a level of the standard library's: 1 to 24, 0 where none was set.

    >>> [severity_number(level) for level in (0, 5, 10, 20, 25, 30, 40, 50, 99)]
    [0, 4, 5, 9, 12, 13, 17, 21, 24]
    """
    if level <= 0:
        return 0
    tens = min(level // _LEVEL_STEP, max(LEVELS.values()) // _LEVEL_STEP)
    return 1 + _RANGE * tens + min(level - _LEVEL_STEP * tens, _RANGE - 1)


def ids_of(line: Logged) -> tuple[str, str]:
    """
    Return trace and span of *line*, "" where there is none.
    """
    if line.key is None or line.request < 0:
        return line.trace, ""
    began = line.request if line.follows < 0 else line.follows
    trace = line.trace or f"{trace_of(line.key, began):032x}"
    return trace, f"{span_of(line.key, line.request, line.segment):016x}"


def told(line: Logged) -> dict[str, Any]:
    """
    Return *line* as one flat mapping; what is not known is left out, but for a body that was not a template.
    """
    trace, span = ids_of(line)
    file, _, number = line.code.rpartition(":")
    exception, _, raised_at = line.error.partition(" ")
    attributes = {
        "trace_id": trace,
        "span_id": span,
        "otel.scope.name": line.logger,
        "code.file.path": file,
        "code.line.number": int(number) if number.isdecimal() else "",
        "exception.type": exception,
        "rung.exception.line": raised_at,
        "http.route": line.route if line.kind == "request" else "",
        "http.request.method": line.method if line.kind == "request" else "",
        "rung.work": line.route if line.kind not in {"", "request"} else "",
        "host.name": line.host,
        "service.instance.id": line.instance,
        "process.pid": line.worker,
    }
    return {
        "timestamp": timestamp(line.at_s),
        "severity_text": level_name(line.level),
        "severity_number": severity_number(line.level),
        "body": line.template,
        **{name: value for name, value in attributes.items() if value != ""},
    }


def timestamp(at_s: float) -> str:
    """
    Return a moment as ISO 8601 has it, in UTC.

    >>> timestamp(1_800_000_000.25)
    '2027-01-15T08:00:00.250000Z'
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parts_of(line: Logged) -> Sequence[str]:
    """
    Return what a person reads of *line*, in order.
    """
    where = f"{line.method} {line.route}".strip()
    text = line.template if line.template is not None else "(text not kept)"
    return tuple(
        part
        for part in (
            timestamp(line.at_s),
            f"{level_name(line.level):<8}",
            line.logger,
            text,
            line.error,
            line.code,
            where,
        )
        if part
    )

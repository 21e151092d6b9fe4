"""
Traces as documents for tests, and what a recording made from them holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rung.adapters.foreign.converting import raw_of, recording_of
from rung.adapters.foreign.files import Document
from rung.adapters.foreign.meaning import Meanings, Span
from rung.adapters.foreign.span import Account
from rung.adapters.shelf import told_by
from tests.probe.serving import table

BEGAN_NS = 1_795_000_000 * 10**9
MS = 10**6
SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL = 2, 3, 4, 5, 1
GET = {"http.request.method": "GET", "http.route": "/orders/{id}", "http.response.status_code": 200}
LOOKUP = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM orders WHERE id = 7"}


def span(number: int, parent: int = 0, *, trace: int = 1, **more: Any) -> dict[str, Any]:
    """
    A span of OTLP's JSON; `at` and `took` are milliseconds.
    """
    at, took = more.pop("at", 0), more.pop("took", 10)
    told = more.pop("told", {})
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": "a span",
        "kind": INTERNAL,
        "startTimeUnixNano": str(BEGAN_NS + int(at * MS)),
        "endTimeUnixNano": str(BEGAN_NS + int((at + took) * MS)),
        "attributes": attributes(told),
        **more,
    }


def attributes(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in told.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def document(spans: Iterable[Mapping[str, Any]], service: str = "shop", **resource: Any) -> dict[str, Any]:
    told = {"service.name": service, "host.name": "h", "process.pid": 7}
    told |= {name.replace("_", "."): value for name, value in resource.items()}
    return {"resourceSpans": [{"resource": {"attributes": attributes(told)}, "scopeSpans": [{"spans": list(spans)}]}]}


def line(*documents: Mapping[str, Any]) -> str:
    """Several documents as one line."""
    return json.dumps({"resourceSpans": [each for one in documents for each in one["resourceSpans"]]}) + "\n"


class Read:
    """
    What became of a file of traces.
    """

    def __init__(self, folder: Path, text: str | bytes, *, form: str = "otlp", name: str = "spans.jsonl") -> None:
        path = folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.name = recording_of(folder / ".rung", form, [str(path)])
        self.recording = folder / ".rung" / "recordings" / self.name
        self.told: dict[str, Any] = told_by(self.recording)["foreign"]
        self.requests = sorted(table(self.recording, "requests"), key=lambda row: row["arrived_s"])
        self.segments = sorted(table(self.recording, "segments"), key=lambda row: (row["request"], row["segment"]))
        self.texts = {row["statement"]: row["text"] for row in table(self.recording, "statements")}

    def waits(self) -> list[tuple[str, str]]:
        """Seams and names, a statement by its text."""
        return [(row["seam"], self.texts.get(row["name"], row["name"])) for row in self.segments]


def meant(told: Mapping[str, Any], **more: Any) -> tuple[Span, Meanings]:
    """What one span with these attributes is."""
    account = Account()
    text = json.dumps(document([span(1, **{"parent": 9, "told": told, **more})])).encode()
    (raw,) = raw_of("otlp", Document("here", text, binary=False), account)
    meanings = Meanings(account)
    return meanings.of(raw), meanings

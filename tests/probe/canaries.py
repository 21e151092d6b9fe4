"""
Values that must not leave an app, and a search for them in whatever was written or said.

In        names of the places where values are planted; folders and texts to search
Out       where which value was found, in which form
Not here  planting them (private_work.py), what was recorded (test_privacy.py)
"""

from __future__ import annotations

import base64
import io
import json
import random
import secrets
import string
import struct
import urllib.parse
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import duckdb

from rung.frames import FrameRefused, Reader

LETTERS = 14
KEY_LETTERS = 32  # of a key in hex, which no value is

TEXTS = (
    "parameter", "parameter_bytes", "parameter_json", "literal", "dollar_quoted", "escaped", "composed",
    "line_comment", "block_comment", "leading_comment", "set_value", "role", "channel", "payload", "copied", "many",
    "broken", "mogrified", "called", "spread", "bound", "rendered_literal", "prepared", "path", "query", "raw_path",
    "method", "header", "authorization", "cookie", "session", "user_agent", "host", "queue_header", "body",
    "response", "response_header", "error_message", "error_note", "database_error", "log", "log_error", "common",
    "rare", "password", "template_value", "template_name", "file_name", "written", "temporary_name", "cache_key",
    "cache_value", "url_host", "url_path", "url_query", "url_body", "url_header", "mail", "job_argument",
    "job_name_argument", "job_id", "job_error", "task_name", "thread_name", "span_attribute", "span_statement",
    "span_event", "span_status", "span_error", "span_link", "span_state", "span_name_mail", "log_built", "log_extra",
    "event_built", "event_value", "tracestate", "traceparent",
    "bucket", "object_key", "object_body", "object_missing", "region_key", "region_value",
)  # fmt: skip
NUMBERS = ("number_parameter", "number_literal", "number_common", "number_path", "number_cache")


def made() -> dict[str, str]:
    """
    Return a value for each place, all different and like nothing else.
    """
    draw = random.SystemRandom()
    texts = {name: "".join(draw.choice(string.ascii_lowercase) for _ in range(LETTERS)) for name in TEXTS}
    texts["method"] = texts["method"].upper()
    return texts | {name: str(10**13 + secrets.randbelow(8 * 10**13)) for name in NUMBERS}


def forms(value: str) -> dict[str, bytes]:
    """
    Return the bytes as which *value* may have been written.

    >>> sorted(forms("secret"))[:3]
    ['base64, 0 before', 'base64, 1 before', 'base64, 2 before']
    """
    plain = value.encode()
    found = {
        "text": plain,
        "upper case": value.upper().encode(),
        "lower case": value.lower().encode(),
        "UTF-16": value.encode("utf-16-le"),
        "hex": plain.hex().encode(),
        "quoted": urllib.parse.quote(value).encode(),
        "backwards": plain[::-1],
    }
    for before in range(3):
        # What stands before and after decides on the letters at the edges.
        found[f"base64, {before} before"] = base64.b64encode(b"x" * before + plain)[4 if before else 0 : -4]
    if len(value) == KEY_LETTERS:
        found["key"] = bytes.fromhex(value)
    if value.isdigit():
        number = int(value)
        found |= {
            "hex number": f"{number:x}".encode(), "thousands": f"{number:,}".encode(),
            "integer": struct.pack("<q", number), "integer, big": struct.pack(">q", number),
            "double": struct.pack("<d", number), "double, big": struct.pack(">d", number),
        }  # fmt: skip
    return found


def search(texts: Iterable[tuple[str, bytes]], canaries: Mapping[str, str]) -> list[str]:
    """
    Return what was found where.
    """
    sought = [(name, form, data) for name, value in canaries.items() for form, data in forms(value).items()]
    return [
        f"{name} as {form} in {where}: …{text[max(0, at - 60) : at + 80]!r}…"
        for where, text in texts
        for name, form, data in sought
        if (at := text.find(data)) >= 0
    ]


def everything_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """
    Yield every file, and beside its bytes what they mean where that is known; and the names of all.
    """
    for path in sorted(folder.rglob("*")):
        where = str(path.relative_to(folder))
        yield f"name of {where}", where.encode()
        if path.is_file():
            yield from _content(where, path.read_bytes())


def _content(where: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    yield where, data
    if where.endswith(".parquet") or ".parquet." in where:
        yield f"{where}, decoded", _rows(data)
    elif where.endswith(".frames"):
        yield f"{where}, decoded", _frames(data)
    elif zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in packed.namelist():
                yield from _content(f"{where}/{name}", packed.read(name))
    elif where.endswith((".json", ".jsonl")):
        # Letters may stand there as \u0061.
        lines = data.splitlines() if where.endswith(".jsonl") else [data]
        yield f"{where}, decoded", "\n".join(str(json.loads(line)) for line in lines).encode()


def _rows(data: bytes) -> bytes:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect(":memory:") as connection:
        file.write(data)
        file.flush()
        relation = connection.read_parquet(file.name)
        return "\n".join(str(row) for row in relation.fetchall()).encode("utf-8", "surrogatepass")


def _frames(data: bytes) -> bytes:
    try:
        return "\n".join(str(frame) for frame in Reader().feed(data)).encode()
    except FrameRefused as refused:
        return str(refused).encode()

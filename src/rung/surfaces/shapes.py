"""
The JSON of the commands that run where only the recorder is installed.

In        nothing
Out       classes, from which docs/reference/json.md is generated with those of schema.py
Not here  the JSON of the loop (document.py), whose values need the tool's extra
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from rung import __version__
from rung.surfaces.errors_text import SCHEMA


class Document(TypedDict):
    """What every command's output begins with."""

    rung: str
    schema: int
    command: str


class PackDocument(Document):
    """
    `rung pack --json`; `raw` tells that the file holds frames, which become a recording where the tool is installed.
    `file` is null where it went to standard output.
    """

    file: str | None
    name: str
    sources: list[str]
    raw: bool
    file_bytes: int


class CollectDocument(Document):
    """`rung collect --json`, once it was told to end: the folders of the recordings that it sealed."""

    socket: str
    recordings: list[str]


class SentShape(TypedDict):
    """
    One recording that was sent: `objects` put this time, of `size_bytes`; `already` were there. `ended` tells that all
    that will ever be of it is there, `busy` that somebody else was sending it.
    """

    name: str
    objects: int
    size_bytes: int
    already: int
    ended: bool
    busy: bool


class PushDocument(Document):
    """`rung push --json`"""

    prefix: str
    sent: list[SentShape]


class CheckShape(TypedDict):
    """
    One thing that was looked at. `state` is "ok", "note" (good to know), "lacking" (something will not be seen) or
    "broken" (a recording would not work); `step` is what to type or do about it, null where nothing is.
    """

    about: str
    state: str
    text: str
    step: str | None


class PermissionsDocument(Document):
    """
    `rung permissions --json`: whether the role has what each answer needs. With `--script` only `script` is given.
    """

    server: str | None
    version: str | None
    role: str | None
    checks: list[CheckShape]
    script: str | None


class LibraryShape(TypedDict):
    """
    A library of the app's environment. `state` is "tested", "untested" (another version than the instrument was tested
    with), "in_part" (its instrument is another library's) or "unknown" (no instrument: waiting on it is `other`).
    """

    name: str
    version: str
    instrument: str | None
    tested: str | None
    state: str


class SettingShape(TypedDict):
    """One setting as it is in force, and where it comes from: default, rung.toml, a variable."""

    name: str
    value: str
    source: str


class DoctorDocument(Document):
    """`rung doctor --json`; `works` is false where a check is "broken"."""

    works: bool
    python: str
    checks: list[CheckShape]
    libraries: list[LibraryShape]
    settings: list[SettingShape]


DOCUMENTS: tuple[type, ...] = (PackDocument, CollectDocument, PushDocument, DoctorDocument, PermissionsDocument)
SHAPES: tuple[type, ...] = (SentShape, CheckShape, LibraryShape, SettingShape)


def document(command: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the document of *command*.
    """
    return {"rung": __version__, "schema": SCHEMA, "command": command, **content}

"""
Ask a ClickHouse: a server over HTTP, or one inside this process (chdb), which tests use.

A server is asked read-only: with `readonly = 2`, for `readonly = 1` forbids table functions, by which it reads Parquet.
A password comes from CLICKHOUSE_PASSWORD or the URL, goes into a header, and is part of no message.

In        clickhouse://USER@HOST:PORT/DATABASE?collection=NAME, clickhouse+https://..., clickhouse+embedded://
Out       answers in the Native format
Not here  what is asked (reading.py), what it says (native.py)
"""

from __future__ import annotations

import functools
import http.client
import os
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

from rung.adapters.clickhouse.dialect import SETTINGS
from rung.errors import BadValue, EngineRefused, EngineUnreachable, ExtraMissing

PORTS: Mapping[str, int] = {"clickhouse": 8123, "clickhouse+https": 8443}
EMBEDDED = "clickhouse+embedded"
ANSWER_WITHIN_S = 900.0
KIND = re.compile(r"\(([A-Z][A-Z0-9_]{2,60})\)")
STATUS = re.compile(r"HTTP response code: (\d{3})")
COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")


class Engine(Protocol):
    """
    What answers SQL in the Native format.

    Attributes:
        address: Where it is, without a password.
        collection: The named collection by which it reads a store; None: by its own role.
        embedded: Whether it sees this machine's files.
    """

    address: str
    collection: str | None
    embedded: bool

    def answer(self, sql: str) -> bytes:
        """
        Return what *sql* gives.

        Raises:
            EngineError: it cannot be had.
        """


@functools.cache  # chdb has one session a process
def engine_of(url: str) -> Engine:
    """
    Return the engine that *url* names.

    Raises:
        BadValue: it names none.
    """
    parts = urllib.parse.urlsplit(url)
    told = urllib.parse.parse_qs(parts.query)
    collection = told.get("collection", [None])[0]
    known = parts.scheme in PORTS and parts.hostname is not None
    if not (known or parts.scheme == EMBEDDED) or (collection and not COLLECTION.fullmatch(collection)):
        expected = "clickhouse://USER@HOST:8123/DATABASE, clickhouse+https://..., with ?collection=NAME at will"
        raise BadValue("--engine", _without_password(url), expected=expected)
    if parts.scheme == EMBEDDED:
        return EmbeddedEngine(collection)
    return ServerEngine(parts, collection)


def _without_password(url: str) -> str:
    return re.sub(r"//([^:/@]*):[^@]*@", r"//\1@", url)


class ServerEngine:
    """
    A server, over HTTP.
    """

    embedded = False

    def __init__(self, parts: urllib.parse.SplitResult, collection: str | None) -> None:
        self.collection = collection
        self._tls = parts.scheme == "clickhouse+https"
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self.address = f"{self._host}:{self._port}"
        password = urllib.parse.unquote(parts.password or "") or os.environ.get("CLICKHOUSE_PASSWORD", "")
        self._headers = {"X-ClickHouse-User": urllib.parse.unquote(parts.username or "default")}
        if password:
            self._headers["X-ClickHouse-Key"] = password
        asked = {**SETTINGS, "readonly": "2", "wait_end_of_query": "1"}
        if database := parts.path.strip("/"):
            asked["database"] = urllib.parse.unquote(database)
        self._target = f"/?{urllib.parse.urlencode(asked)}"

    def answer(self, sql: str) -> bytes:
        """
        Return what *sql* gives, once the server has all of it: an error in its middle is no answer.
        """
        kind: Any = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=ANSWER_WITHIN_S)
        try:
            connection.request("POST", self._target, f"{sql}\nformat Native".encode(), self._headers)
            response = connection.getresponse()
            body: bytes = response.read()
        except (OSError, http.client.HTTPException) as problem:
            raise EngineUnreachable(self.address, getattr(problem, "strerror", "") or type(problem).__name__) from None
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise EngineRefused(self.address, _reason(body.decode("utf-8", "replace"), f"status {response.status}"))
        return body


class EmbeddedEngine:
    """
    ClickHouse inside this process, by the package chdb.
    """

    embedded = True

    def __init__(self, collection: str | None) -> None:
        try:
            import chdb.session
        except ImportError:
            raise ExtraMissing(
                "chdb", instead=("Or name a server", "rung find --engine clickhouse://host:8123/")
            ) from None
        self.address, self.collection = "chdb", collection
        package: Any = chdb.session  # without annotations
        self._session: Any = package.Session()

    def answer(self, sql: str) -> bytes:
        """
        Return what *sql* gives.
        """
        settings = ", ".join(f"{name} = '{value}'" for name, value in SETTINGS.items())
        try:
            return bytes(self._session.query(f"{sql}\nsettings {settings}", "Native").bytes())
        except RuntimeError as problem:
            raise EngineRefused(self.address, _reason(str(problem), "an error")) from None


def _reason(text: str, otherwise: str) -> str:
    """
    Return the name of an error: the rest of its text may quote what it was asked, and keys of the store.
    """
    kinds, status = KIND.findall(text), STATUS.search(text)
    told = kinds[-1] if kinds else otherwise
    return f"{told}, the store answered {status[1]}" if status else told

"""
Reach an object store: S3 and what speaks like it, Google's, Azure's, or a folder.

Credentials, region and endpoint come from the environment, as obstore reads them; none of them is ever part of a
message: what a store answers may quote an access key, so only its code is told.

In        the URL of a prefix, keys below it
Out       bytes and listings; every failure as one of ours
Not here  which keys there are (layout.py), what is sent when (push.py)
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore import exceptions as failures
from obstore.store import from_url

from rung.errors import BucketMissing, RungError, StoreDenied, StoreRefused, StoreUnreachable

AT_ONCE = 32  # requests under way; a store answers each within tens of milliseconds, however many there are
WHOLE_BYTES_MAX = 256 * 1024**2  # sent as one request; what is larger goes up in parts, without a condition
ANSWER_WITHIN_S = 30
CODE = re.compile(r"<Code>([A-Za-z]{3,60})</Code>")
STATUS = re.compile(r"status code: (\d{3})")
REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired", "AuthenticationRequired"})


@dataclass(frozen=True, slots=True)
class Stored:
    """
    One object: its key below the prefix, its size, and what changes when it does.
    """

    key: str
    size_bytes: int
    etag: str


class Store:
    """
    One prefix of an object store.

    Attributes:
        url: As it was given, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        """
        Name the prefix at *url*; nothing is asked of the store yet.

        Raises:
            StoreRefused: the URL or what the environment says of the store cannot be.
        """
        self.url = url.rstrip("/")
        self._conditional = True
        options: Any = {"mkdir": True} if self.url.startswith("file:") else _options()
        try:
            self._store = from_url(f"{self.url}/", **options)
        except (failures.BaseError, ValueError, OSError) as problem:
            raise StoreRefused(self.url, _kind(problem), why="Nothing was asked of any store.") from None

    def put(self, key: str, content: bytes | Path) -> bool:
        """
        Put an object where there is none, as a whole or not at all; return whether there was none.

        Raises:
            StoreError: it could not be put.
        """
        size_bytes = len(content) if isinstance(content, bytes) else content.stat().st_size
        with self._mapped():
            if self._conditional and size_bytes <= WHOLE_BYTES_MAX:
                try:
                    obstore.put(self._store, key, content, mode="create", use_multipart=False)
                except failures.AlreadyExistsError:
                    return False
                except failures.BaseError as problem:
                    # An older server of the kind knows no conditions: then we look first.
                    if "501" not in str(problem) and "NotImplemented" not in str(problem):
                        raise
                    self._conditional = False
                else:
                    return True
            if self.size_of(key) is not None:
                return False
            obstore.put(self._store, key, content)
        return True

    def size_of(self, key: str) -> int | None:
        """
        Return the bytes of an object, None where there is none.
        """
        with self._mapped():
            try:
                return int(obstore.head(self._store, key)["size"])
            except FileNotFoundError:
                return None

    def get(self, key: str) -> bytes:
        """
        Return an object.

        Raises:
            StoreError: it could not be had.
        """
        with self._mapped():
            return bytes(obstore.get(self._store, key).bytes())

    def fetch(self, key: str, target: Path) -> None:
        """
        Write an object to *target*, which is there as a whole or not at all.
        """
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with self._mapped(), beside.open("wb") as file:
                for chunk in obstore.get(self._store, key).stream(min_chunk_size=8 * 1024**2):
                    file.write(chunk)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def folders(self, below: str = "") -> list[str]:
        """
        Return the names of what has objects below it, one level down, in order.
        """
        with self._mapped():
            found = obstore.list_with_delimiter(self._store, below or None)["common_prefixes"]
        return sorted(str(path).rpartition("/")[2] for path in found)

    def objects(self, below: str) -> list[Stored]:
        """
        Return all objects below a key, in order.
        """
        with self._mapped():
            listed = [one for page in obstore.list(self._store, below) for one in page]
        found = [
            Stored(str(one["path"]), int(one["size"]), str(one["e_tag"] or one["last_modified"])) for one in listed
        ]
        return sorted(found, key=lambda stored: stored.key)

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except RungError:
            raise
        except (failures.BaseError, OSError, ValueError) as problem:
            raise problem_of(self.url, problem) from None


def at_once() -> ThreadPoolExecutor:
    """
    Return what asks a store for many things at a time.
    """
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rung-store")


def problem_of(url: str, problem: Exception) -> RungError:
    """
    Return what a store answered as one of our errors, in its own code and no other of its words.
    """
    text = str(problem)
    found = CODE.search(text)
    code = found[1] if found else ""
    status = STATUS.search(text)
    told = code or (f"status {status[1]}" if status else _kind(problem))
    if code == "NoSuchBucket" or "ContainerNotFound" in text:
        return BucketMissing(url)
    if code in CLOCK:
        return StoreRefused(url, f"{told}: this host's clock is too far off", why="A store takes requests of the time.")
    if code in REGION or "incorrectly configured region" in text:
        why = "AWS_REGION names the region of the bucket; without it, it is us-east-1."
        return StoreRefused(url, f"{code or 'a redirect'}: the bucket is in another region", why=why)
    denied = isinstance(problem, (failures.PermissionDeniedError, failures.UnauthenticatedError, PermissionError))
    if denied or (status and status[1] in {"401", "403"}):
        return StoreDenied(url, told)
    if isinstance(problem, FileNotFoundError):
        return StoreRefused(
            url, "an object that was listed is not there any more", why="Somebody removed it meanwhile."
        )
    if status is None and (
        "error sending request" in text or "timed out" in text.lower() or "credential" in text.lower()
    ):
        if "169.254.169.254" in text:
            return StoreDenied(url, "there are no credentials in the environment, and this host has no role")
        return StoreUnreachable(url, "no answer" if "error sending request" in text else "it took too long")
    return StoreRefused(url, told)


def _options() -> dict[str, Any]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return {
        # A store of one's own, named without TLS, is meant so.
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=ANSWER_WITHIN_S),
        },
        "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=ANSWER_WITHIN_S)},
    }


def _kind(problem: Exception) -> str:
    return type(problem).__name__.removesuffix("Error") or "an error"

"""
Append what the app logs to a file as it comes, one JSON object a line.

The file is made for its user alone.  Whoever rotates logs moves it away; the next line makes a new one.

In        batches of frames
Out       lines in a file
Not here  what a line is called (steps/trace/telling.py), the lines in a recording (writer.py)

What a line belongs to stands in its request, which is sent with it or soon after it: a line waits for that until the
next batch of its process.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from rung.frames import Batch, Hello, Line, Request
from rung.steps.trace.telling import Logged, told

KNOWN_MAX = 10_000  # requests, of all processes, that a late line may belong to
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK

Who = tuple[str, str, int]


class LogFile:
    """
    The file.  A disk that is full costs lines, which is said once, and never more than that.
    """

    def __init__(self, path: Path, *, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._said = False
        self._file = -1
        self._opened: tuple[int, int] | None = None
        self._known: OrderedDict[tuple[Who, int], Request] = OrderedDict()
        self._waiting: dict[Who, tuple[Hello, list[Line]]] = {}

    def batch(self, hello: Hello, batch: Batch) -> None:
        """
        Write the lines of *batch*.
        """
        who = hello.host, hello.instance, hello.worker
        for request in batch.requests:
            # Of a request only what its lines say of it.
            self._known[who, request.request] = _without_parts(request)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        _, waited = self._waiting.pop(who, (hello, []))
        known = [line.request is None or (who, line.request) in self._known for line in batch.lines]
        ready = [line for line, is_known in zip(batch.lines, known, strict=True) if is_known]
        waiting = [line for line, is_known in zip(batch.lines, known, strict=True) if not is_known]
        if waiting:
            self._waiting[who] = hello, waiting
        self._write(self._told(hello, [*waited, *ready]))

    def close(self) -> None:
        """
        Write what still waits, and let go of the file.
        """
        for hello, lines in self._waiting.values():
            self._write(self._told(hello, lines))
        self._waiting.clear()
        self._let_go()

    def _told(self, hello: Hello, lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
        who = hello.host, hello.instance, hello.worker
        for line in lines:
            request = None if line.request is None else self._known.get((who, line.request))
            yield told(_logged(hello, line, request))

    def _write(self, lines: Iterator[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        if not text:
            return
        data = text.encode("utf-8", "backslashreplace")
        try:
            self._open()
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._let_go()
            if not self._said:
                self._said = True
                self._say(f"rung: cannot write {self._path}: {error.strerror}; the recording has these lines as well\n")

    def _open(self) -> None:
        try:
            found = self._path.stat()
            there: tuple[int, int] | None = (found.st_dev, found.st_ino)
        except FileNotFoundError:
            there = None
        if self._file >= 0 and there == self._opened:
            return
        self._let_go()
        self._file = os.open(self._path, _FLAGS, 0o600)
        held = os.fstat(self._file)
        self._opened = held.st_dev, held.st_ino

    def _let_go(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.close(file)


def _without_parts(request: Request) -> Request:
    return msgspec.structs.replace(request, segments=b"", reads=[])


def _logged(hello: Hello, line: Line, request: Request | None) -> Logged:
    known = {} if request is None else _of(request)
    return Logged(
        host=hello.host,
        instance=hello.instance,
        worker=hello.worker,
        key=hello.key or None,
        request=-1 if line.request is None else line.request,
        segment=-1 if line.segment is None else line.segment,
        at_s=line.at_s,
        level=line.level,
        logger=line.logger,
        template=line.template,
        code=line.code or "",
        error=line.error or "",
        **known,
    )


def _of(request: Request) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "route": request.route,
        "method": request.method,
        "follows": -1 if request.follows is None else request.follows,
        "trace": request.trace or "",
    }

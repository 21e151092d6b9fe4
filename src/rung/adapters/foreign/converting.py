"""
Make a recording from files of traces, once.

In        files of OTLP or Jaeger
Out       the name of a sealed recording; what was read, and what was not, in its manifest
Not here  formats, meaning and requests (the files beside this one), what is said of it (steps/find/foreign.py)

A recording that was made from the same files is taken as it is.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rung import __version__, clock
from rung.adapters import shelf
from rung.adapters.collector.writer import Writer
from rung.adapters.foreign import assembling, jaeger, otlp_json
from rung.adapters.foreign.assembling import Segment, Unit
from rung.adapters.foreign.files import STANDARD_INPUT, Document, documents, files_of
from rung.adapters.foreign.meaning import JOB, REQUEST, Meanings, Process
from rung.adapters.foreign.sorting import Sorted
from rung.adapters.foreign.span import Account, Misread, Raw
from rung.adapters.launcher import make_private
from rung.adapters.shelf import MANIFEST, RECORDINGS
from rung.errors import ExtraMissing, FileUnwritable, RungError, TracesUnreadable
from rung.frames import FORMAT, Batch, Hello, Place, Request, Statement
from rung.steps.record import PARTS, Intake

OTLP, JAEGER = "otlp", "jaeger"
BATCH_REQUESTS = 2_000


def recording_of(data: Path, form: str, asked: Sequence[str]) -> str:
    """
    Return the name of the recording in *data* that the files *asked* for are, made now unless it is there.

    Raises:
        BadFile: one of them cannot be read at all.
        TracesUnreadable: there is no request in them.
        FileUnwritable: the disk does not take it; nothing is left of it.
    """
    files = files_of(asked)
    told = _files_told(files)
    known = _made_before(data, form, told)
    if known is not None:
        return known
    place = data / RECORDINGS
    try:
        make_private(data)
        place.mkdir(exist_ok=True, mode=0o700)
        beside = Path(tempfile.mkdtemp(prefix=".traces-", dir=place))
    except OSError as problem:
        raise FileUnwritable(str(place), str(problem.strerror), see="rung find --help") from None
    try:
        return _Reading(form, files, told, beside).kept(place, asked)
    except OSError as problem:
        raise FileUnwritable(str(place), str(problem.strerror or problem), see="rung find --help") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _files_told(files: Sequence[Path]) -> list[dict[str, Any]] | None:
    """
    Return what tells files from others of the same name; None where they cannot be read twice.
    """
    if any(str(file) == STANDARD_INPUT for file in files):
        return None
    stats = [(file.name, file.stat()) for file in files]
    return [{"name": name, "bytes": stat.st_size, "modified_s": stat.st_mtime} for name, stat in stats]


def _made_before(data: Path, form: str, told: list[dict[str, Any]] | None) -> str | None:
    for name in shelf.names(data) if told is not None else ():
        try:
            foreign = shelf.told_by(data / RECORDINGS / name).get("foreign")
        except RungError:
            continue
        if isinstance(foreign, dict) and foreign.get("form") == form and foreign.get("files") == told:
            return name
    return None


def raw_of(form: str, document: Document, account: Account) -> Iterator[Raw]:
    """
    Yield the spans of one document; what cannot be read is noted.
    """
    try:
        if document.binary:
            if form == JAEGER:
                raise Misread("it is no JSON")
            try:
                from rung.adapters.foreign import otlp_protobuf
            except ImportError:
                raise ExtraMissing("opentelemetry-proto") from None
            yield from otlp_protobuf.spans_of(document.data, account, document.place)
            return
        try:
            value = msgspec.json.decode(document.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise Misread(f"it is no JSON ({str(problem)[:120]})") from None
        except RecursionError:
            raise Misread("it is nested too deeply") from None
        read: Callable[[Any, Account, str], Iterator[Raw]] = {OTLP: otlp_json.spans_of, JAEGER: jaeger.spans_of}[form]
        for each in value if isinstance(value, list) else [value]:
            yield from read(each, account, document.place)
    except Misread as problem:
        account.unread(document.place, problem)


class _Reading:
    """
    One reading of some files into a folder.
    """

    def __init__(self, form: str, files: Sequence[Path], told: list[dict[str, Any]] | None, folder: Path) -> None:
        self._form, self._files, self._told, self._folder = form, files, told, folder
        self._account = Account()
        self._meanings = Meanings(self._account)
        self._intake = Intake()
        self._recorder = _Recorder(self._intake, self._meanings)
        self._seams: Counter[str] = Counter()
        self._weight = 0.0
        self._requests = 0
        self._span_s = [float("inf"), 0.0]

    def kept(self, place: Path, asked: Sequence[str]) -> str:
        """
        Return the name under which the recording was put among the others in *place*.
        """
        scratch = self._folder / "sorting"
        scratch.mkdir(mode=0o700)
        made = self._folder / "made"
        made.mkdir(mode=0o700)
        problems: list[str] = []
        writer = Writer(made, name="traces", started_s=0.0, say=problems.append)
        spans = Sorted(scratch)
        try:
            for file in self._files:
                for document in documents(file, self._account):
                    for raw in raw_of(self._form, document, self._account):
                        self._account.counts["spans"] += 1
                        spans.add(self._meanings.of(raw))
            self._assemble(spans, writer)
        finally:
            spans.close()
        if not self._requests:
            raise TracesUnreadable(" ".join(asked), self._why_nothing())
        writer.seal(self._intake, refused=0)
        manifest = json.loads((made / MANIFEST).read_text("utf-8"))
        if problems or not manifest["sealed"]:
            raise FileUnwritable(
                str(place), (problems or ["not all of it was written"])[0].strip(), see="rung find --help"
            )
        began_s, ended_s = self._span_s
        short = _short_name(self._files)
        told = {**manifest, "name": short, "started_s": began_s, "ended_s": ended_s, "foreign": self._foreign()}
        (made / MANIFEST).write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        name = f"{clock.stamp(began_s)}-{short}"
        called = next(each for each in _numbered(name) if not (place / each).exists())
        made.replace(place / called)
        return called

    def _assemble(self, spans: Sorted, writer: Writer) -> None:
        services = [process.service for process in self._meanings.processes]
        for trace in spans.traces(self._account):
            for unit in assembling.units_of(trace, self._account, services):
                self._count(unit)
                self._recorder.add(unit)
            if self._recorder.held >= BATCH_REQUESTS:
                self._recorder.flush()
                writer.write(self._intake, refused=0)
        self._recorder.flush()

    def _count(self, unit: Unit) -> None:
        self._seams.update({segment.seam for segment in unit.segments})
        begin_s = unit.arrived_s
        self._span_s = [min(self._span_s[0], begin_s), max(self._span_s[1], begin_s + unit.lasted_s)]
        if unit.follows:
            self._account.note("background")
        elif unit.root.role == REQUEST:
            self._requests += 1
            self._weight += 1 / unit.root.kept_share

    def _why_nothing(self) -> str:
        counts, first = self._account.counts, self._account.first.get("unread", "")
        because = f"; first, {first}" if first else ""
        if not counts["spans"]:
            return f"there is no span in it that can be read{because}"
        return f"of {counts['spans']:,} spans none is a request that was answered (of kind SERVER){because}"

    def _foreign(self) -> dict[str, Any]:
        counts = self._account.counts
        named = ("spans", "unread", "duplicates", "shifted", "adopted", "orphans", "outside", "background", "folded")
        return {
            "form": self._form,
            "files": self._told,
            **{name: counts[name] for name in (*named, "unworded")},
            "unread_first": self._account.first.get("unread", ""),
            "kept_share": self._requests / self._weight,
            "seams": sorted(self._seams),
        }


def _short_name(files: Sequence[Path]) -> str:
    first = files[0].name if str(files[0]) != STANDARD_INPUT else "traces"
    return re.sub(r"[^A-Za-z0-9_-]+", "-", first.partition(".")[0]).strip("-_")[:60] or "traces"


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


class _Recorder:
    """
    Hands units to an Intake as if their processes had sent them.
    """

    def __init__(self, intake: Intake, meanings: Meanings) -> None:
        self._intake, self._meanings = intake, meanings
        self.held = 0
        self._requests: dict[int, list[Request]] = {}
        self._serial: Counter[int] = Counter()
        self._places: dict[tuple[int, str, str, str], int] = {}
        self._new_places: dict[int, list[Place]] = {}
        self._told: set[str] = set()

    def add(self, unit: Unit) -> None:
        """
        Add *unit*; one that follows comes right after what it follows.
        """
        root, process = unit.root, unit.root.process
        followed = self._serial[process] if unit.follows else None
        self._serial[process] += 1
        kind = "background" if unit.follows else ("request" if root.role == REQUEST else "job")
        route = root.name if root.role in (REQUEST, JOB) else f"job:{root.name}"
        self._requests.setdefault(process, []).append(
            Request(
                request=self._serial[process],
                kind=kind,
                route=route,
                method=root.method if root.role == REQUEST else "",
                status=root.status if root.role == REQUEST and not unit.follows else 0,
                arrived_s=unit.arrived_s,
                queue_s=None,
                first_byte_s=None,
                duration_s=unit.lasted_s,
                cpu_s=0.0,
                cancelled=False,
                error=None if unit.follows else root.error or None,
                session=None,
                follows=followed,
                exemplar=False,
                segments=self._packed(process, unit.segments),
                reads=[],
                trace=root.trace,
                caller=root.parent or None,
            )
        )
        self.held += 1

    def _packed(self, process: int, segments: Sequence[Segment]) -> bytes:
        rows = [
            (number, one.parent, self._place(process, one), one.start_s, one.lasted_s, one.calls, one.rows)
            for number, one in enumerate(segments)
        ]
        return np.array(rows, dtype=PARTS).tobytes()

    def _place(self, process: int, segment: Segment) -> int:
        key = process, segment.seam, segment.name, segment.database
        if key not in self._places:
            place = self._places[key] = len(self._places)
            told = Place(place, segment.seam, segment.name, segment.database or None, None)
            self._new_places.setdefault(process, []).append(told)
        return self._places[key]

    def flush(self) -> None:
        """
        Hand over what was added since the last time.
        """
        texts = {name: told for name, told in self._meanings.texts.items() if name not in self._told}
        self._told |= set(texts)
        statements = [Statement(database, name, text, kind) for name, (database, text, kind) in texts.items()]
        for process, requests in self._requests.items():
            sender = self._intake.hello(_hello(self._meanings.processes[process], requests[0].arrived_s))
            places = self._new_places.pop(process, [])
            self._intake.batch(sender, Batch(requests, statements, places, [], [], [], {}, {}))
            statements = []
        self._requests, self.held = {}, 0


def _hello(process: Process, started_s: float) -> Hello:
    return Hello(FORMAT, __version__, process.host, process.instance, process.worker, process.python, {}, started_s)

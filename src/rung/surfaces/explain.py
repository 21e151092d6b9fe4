"""
`rung explain`: where one statement's cost or time goes, rows against rows expected, and what would change it.

In        the flags: a statement however it is named, values for it
Out       text or JSON; an exit status
Not here  reading a plan (steps/explain), asking for one (adapters/explaining.py), layout (plan_text.py)
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rung import units, wire
from rung.errors import BadFile, BadValue, DatabaseNotGiven, RecordingMissing, UnknownName, UsageError
from rung.moves.remedies import Remedy, remedies
from rung.ports import Planner, Rows, Step
from rung.steps.explain.questions import Planned
from rung.steps.explain.tree import NotAPlan, Tree, read
from rung.steps.explain.words import without_constants
from rung.steps.measure.questions import sql
from rung.surfaces.plan_shapes import explain_content
from rung.surfaces.plan_text import explained_text
from rung.surfaces.shapes import document
from rung.surfaces.terminal import EXIT_ANSWERED, print_json

NAME = re.compile(r"\[?([0-9a-f]{4,16})\]?")
PATH_LETTERS_MAX = 4096
WORK_MEMORY = "4MB"  # PostgreSQL's default, where a plan from elsewhere does not say otherwise
HASH_FACTOR = "2"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Source:
    """
    What is to be explained.

    Attributes:
        text: The statement; "" where only its plan is there.
        plan: EXPLAIN's JSON where that was given, else None.
        typed: How it was named, to name it again.
        name: A recorded statement's name, "" for others.
    """

    text: str
    plan: Any
    typed: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """
    A statement's plan, read, with what would change it.
    """

    source: Source
    planned: Planned
    tree: Tree
    remedies: tuple[Remedy, ...]

    @property
    def statement(self) -> str:
        """
        The statement without constants: what was typed may hold values that are nobody's to see.
        """
        return without_constants(" ".join(self.source.text.split()))


def explain(arguments: argparse.Namespace) -> int:
    """
    Ask, and print.
    """
    wire.require(*wire.TOOL_MODULES)
    timeout_s = _timeout(arguments.timeout)
    work = wire.workplace({}, database=arguments.database)
    with work.loop() as loop:
        source = _source(arguments, work, loop.ports.recording)
        if source.plan is not None and (arguments.analyze or arguments.param):
            raise UsageError(
                "a plan that is there already cannot be run",
                why=f"{source.typed} holds a plan; --analyze and --param are for a statement.",
                steps=(("Read it as it is", f"rung explain {source.typed}"),),
            )
        planned = _planned(source, arguments, work.database, timeout_s)
        tree = _read(source, planned)
        found = _asked(remedies(tree, planned, source.text), loop.ports.planner)
    explained = Explained(source, planned, tree, found)
    if arguments.json:
        print_json(document("explain", explain_content(explained)))
    else:
        print(explained_text(explained))
    return EXIT_ANSWERED


def _timeout(text: str) -> float:
    try:
        timeout_s = units.seconds(text)
    except units.UnitError:
        timeout_s = 0.0
    if not timeout_s:
        raise BadValue("--timeout", text, expected="a time such as '10s'")
    return timeout_s


def _asked(step: Step[Result], planner: Planner) -> Result:
    """
    Drive *step* with the planner's answers.  None is kept: a statement's text may hold values.
    """
    try:
        question = next(step)
        while True:
            question = step.send(getattr(planner, question.verb)(question))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _planned(source: Source, arguments: argparse.Namespace, dsn: str | None, timeout_s: float) -> Planned:
    if source.plan is not None:
        return _from_elsewhere(source.plan)
    if dsn is None:
        raise DatabaseNotGiven(command=f"rung explain {source.name[:8] or 'STATEMENT'}")
    from rung.adapters.explaining import read_plan

    return read_plan(
        dsn, source.text, values=arguments.param or (), analyze=arguments.analyze, timeout_s=timeout_s
    )  # fmt: skip


def _from_elsewhere(plan: Any) -> Planned:
    told = plan[0] if isinstance(plan, list) and plan else plan
    settings: Mapping[str, Any] = told.get("Settings", {}) if isinstance(told, dict) else {}
    try:
        work_memory_bytes = units.size_bytes(str(settings.get("work_mem", WORK_MEMORY)))
        hash_factor = float(settings.get("hash_mem_multiplier", HASH_FACTOR))
    except ValueError:
        work_memory_bytes, hash_factor = units.size_bytes(WORK_MEMORY), float(HASH_FACTOR)
    return Planned(
        document=told if isinstance(told, dict) else {}, version="", version_number=0, generic=False,
        work_memory_bytes=work_memory_bytes, hash_factor=hash_factor, standby=False,
    )  # fmt: skip


def _read(source: Source, planned: Planned) -> Tree:
    try:
        return read(planned.document, hash_factor=planned.hash_factor)
    except NotAPlan as problem:
        raise BadFile(source.typed, str(problem), see="rung explain --help") from None


def _source(arguments: argparse.Namespace, work: wire.Workplace, recording: Any) -> Source:
    """
    Return the statement that was meant: standard input, a file, a recorded statement's name, or SQL, in this order.
    """
    typed: str = arguments.statement
    if typed == "-":
        return _of_text(_decoded(sys.stdin.buffer.read(), "standard input"), "-")
    path = Path(typed) if 0 < len(typed) < PATH_LETTERS_MAX and "\0" not in typed else None
    if path is not None and _is_file(path):
        try:
            return _of_text(_decoded(path.read_bytes(), typed), typed)
        except OSError as problem:
            raise BadFile(typed, str(problem.strerror), see="rung explain --help") from None
    named = NAME.fullmatch(typed)
    if path is not None and _is_folder(path):
        raise BadFile(typed, "it is a folder", see="rung explain --help")
    if named is not None or arguments.recording is not None:
        return _recorded(named[1] if named is not None else typed, work, arguments.recording, recording)
    if typed.strip() and not re.search(r"\s", typed.strip()) and re.search(r"[/\\]|\.\w{1,5}$", typed):
        raise BadFile(typed, "there is no such file", see="rung explain --help")
    return _of_text(typed, "STATEMENT")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a statement is longer than a name of a file may be
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise BadFile(where, f"it is not UTF-8 ({problem.reason} {problem.start} bytes into it)") from None


def _of_text(text: str, typed: str) -> Source:
    """
    Return a statement, or the plan that stands in its place.
    """
    if not text.lstrip().startswith(("[", "{")):
        return Source(text.strip(), None, typed)
    try:
        plan = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFile(
            typed, "it begins as JSON and is none; EXPLAIN's is had with psql -XAt -c 'EXPLAIN (FORMAT JSON) …'"
        ) from None
    told = plan[0] if isinstance(plan, list) and plan else plan
    text = str(told.get("Query Text", "")) if isinstance(told, dict) else ""  # as auto_explain has it
    return Source(text.strip(), plan, typed)


def _recorded(asked: str, work: wire.Workplace, where: str | None, recording: Any) -> Source:
    """
    Return the recorded statement whose name begins with *asked*.
    """
    try:
        name = work.recording(where)
    except RecordingMissing as problem:
        if where is not None:
            raise
        raise UsageError(
            f"{asked!r} is no file and no SQL, and {problem.message}",
            why="A name of 4 to 16 hex digits stands for a statement of a recording.",
            steps=(("Give the statement itself", "rung explain 'SELECT …'"), problem.steps[0]),
        ) from None
    rows = recording(name).rows(Rows(sql("statements")))
    texts = dict(zip(rows["statement"].tolist(), rows["text"].tolist(), strict=True))
    found = [each for each in texts if each.startswith(asked)]
    if not found:
        raise UnknownName(
            "statement", asked, known=[each[:8] for each in list(texts)[:8]], where=name, see="rung find"
        )  # fmt: skip
    if len(found) > 1:
        raise UsageError(
            f"{asked!r} could be {' or '.join(each[:12] for each in found[:4])}",
            why="Nothing was asked.",
            steps=tuple((f"Explain {texts[each][:40]}", f"rung explain {each[:12]}") for each in found[:4]),
        )
    return Source(texts[found[0]], None, found[0][:8], found[0])

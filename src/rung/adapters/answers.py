"""
Keep what a step was answered, one JSON line a pair, so that it can be run again from files alone.

In        questions and their answers
Out       `<folder>/answers/RECORDING.jsonl`, mode 0600; a kept answer for an equal question
Not here  asking (loop.py), answering (planner/)
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import msgspec

from rung.errors import AnswersUnwritable, RecordingBroken
from rung.ports import ANSWERS, QUESTIONS, Question
from rung.steps.explain.questions import Known, Statistics

KINDS = {kind.__name__: kind for kind in (*QUESTIONS, *ANSWERS, Statistics, Known)}


class AnswerFile:
    """
    The answers about one recording.  Fulfils the port Answers.
    """

    def __init__(self, folder: Path, recording: str, *, fresh: bool) -> None:
        """
        Open the answers about *recording*; with *fresh* what was kept is asked anew, and replaced.
        """
        self.path = folder / "answers" / f"{Path(recording).resolve().name}.jsonl"
        self._answers: dict[Question, Any] = {}
        self._torn_at: int | None = None
        if fresh:
            self.path.unlink(missing_ok=True)
        elif self.path.is_file():
            self._read()

    def _read(self) -> None:
        try:
            kept = self.path.read_bytes()
        except OSError as problem:
            raise RecordingBroken(str(self.path), str(problem.strerror)) from None
        *lines, torn = kept.split(b"\n")
        if torn:
            # A kill in the middle of the last write; its question is asked anew, in this line's place.
            self._torn_at = len(kept) - len(torn)
        for number, line in enumerate(lines, start=1):
            try:
                pair = msgspec.json.decode(line)
                self._answers[_value(pair["question"])] = _value(pair["answer"])
            except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError) as problem:
                raise RecordingBroken(
                    f"{self.path}:{number}", f"not a kept answer ({problem}); delete the file to ask anew"
                ) from None

    def kept(self, question: Question) -> Any:
        """
        Return the kept answer to an equal question, or None.
        """
        return self._answers.get(question)

    def keep(self, question: Question, answer: Any) -> None:
        """
        Append the pair.

        Raises:
            AnswersUnwritable: the folder or the disk does not take it.
        """
        self._answers[question] = answer
        line = msgspec.json.encode({"question": _tree(question), "answer": _tree(answer)}) + b"\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # One write of one line: a Ctrl-C leaves whole lines only.
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if self._torn_at is not None:
                    os.ftruncate(handle, self._torn_at)
                    self._torn_at = None
                written = os.write(handle, line)
                if written != len(line):
                    os.ftruncate(handle, os.fstat(handle).st_size - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)
        except OSError as problem:
            raise AnswersUnwritable(str(self.path), str(problem.strerror)) from None


def _tree(value: Any) -> dict[str, Any]:
    return {"kind": type(value).__name__, "value": msgspec.to_builtins(value)}


def _value(tree: dict[str, Any]) -> Any:
    return msgspec.convert(tree["value"], KINDS[tree["kind"]])

"""
Keep the ledger's entries as files in the user's repository.

In        an entry's path and text
Out       the same, in the order of their numbers
Not here  what an entry says (steps/ledger.py)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from rung.errors import BadFile, FileUnwritable
from rung.ports import TextFile
from rung.steps.ledger import is_entry


class LedgerFolder:
    """
    A folder of entries.  Fulfils the port LedgerFiles.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> list[TextFile]:
        """
        Return all entries in the order of their numbers; an absent folder is an empty ledger.
        """
        if not self.folder.exists():
            return []
        try:
            return [_text(path) for path in sorted(self.folder.iterdir()) if is_entry(path.name)]
        except OSError as problem:
            raise BadFile(str(self.folder), str(problem.strerror), see="rung ledger") from None

    def write(self, name: str, tree: Mapping[str, Any]) -> None:
        """
        Write one entry whole, or not at all.
        """
        write_whole(self.folder / name, tomli_w.dumps(tree))


def _text(path: Path) -> TextFile:
    try:
        return TextFile(os.path.relpath(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise BadFile(str(path), str(problem), see="rung ledger") from None


def write_whole(path: Path, text: str) -> None:
    """
    Write *text* to *path* so that a reader sees the old file or the new one, never half of one.

    Raises:
        FileUnwritable: the folder or the disk does not take it; nothing is left of it.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(text.encode())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as problem:
        raise FileUnwritable(str(path), str(problem.strerror)) from None

"""
Read the user's repository, as it is at the moment.

In        a path as recordings have it: relative to the folder that the app was started in
Out       the text of that file, or why not; how migrations are kept
Not here  what stands in it (moves/), how migrations are found (project.py), writing anything (hands.py)

Only files below the folder are opened, and only what is text: a recording comes from elsewhere, and may name any path.
"""

from __future__ import annotations

from pathlib import Path

from rung.adapters.project import ProjectFiles
from rung.ports import Project, Source, TextFile, Unavailable

BYTES_MAX = 1_048_576


class RepositoryFiles:
    """
    The files below one folder.  Fulfils the port Repository.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def source(self, question: Source) -> TextFile | Unavailable:
        """
        Return the text of a file.
        """
        try:
            path = (self.folder / question.path).resolve()
            if not path.is_relative_to(self.folder) or not path.is_file():
                return Unavailable(f"there is no {question.path} in {self.folder}")
            if path.stat().st_size > BYTES_MAX:
                return Unavailable(f"{question.path} has more than {BYTES_MAX} bytes")
            # Line ends as they are: a difference that changes them would not fit.
            return TextFile(question.path, path.read_bytes().decode("utf-8"))
        except (OSError, ValueError) as problem:
            return Unavailable(f"cannot read {question.path}: {problem}")

    def project(self, table: str) -> Project:
        """
        Return how migrations are kept here, with the models of *table*.
        """
        return ProjectFiles(self.folder).project(table)

"""
Read how the user's repository keeps its migrations: Alembic's revisions, Django's models and migrations.

In        a folder, and the name of a table
Out       a Project: what the files say of themselves
Not here  what is written there (steps/take), writing it (hands.py)

Files are parsed and never imported: looking at a repository must not run it.
"""

from __future__ import annotations

import ast
import configparser
import os
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rung.adapters.django_models import models_of
from rung.ports import AlembicProject, Project, Revision

DEPTH_MAX = 3  # backend/app/alembic.ini is as deep as such a file is found in practice
LEFT_OUT = {"node_modules", "site-packages", "venv", "env", "build", "dist", "__pycache__"}


class ProjectFiles:
    """
    How the files of the user's repository are laid out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def project(self, table: str) -> Project:
        """
        Return how migrations are kept here, with the models of *table*.
        """
        notes: list[str] = []
        alembic = self._alembic(notes)
        managers = [path for path in _named(self.folder, {"manage.py"}) if b"DJANGO_SETTINGS_MODULE" in _bytes(path)]
        models = models_of(self.folder, {path.parent for path in managers}, table)
        return Project(alembic, bool(managers), tuple(models), tuple(notes))

    def _alembic(self, notes: list[str]) -> AlembicProject | None:
        found = [
            (path, location)
            for path in _named(self.folder, {"alembic.ini", "pyproject.toml"})
            if (location := _script_location(path, notes)) is not None
        ]
        # Alembic itself takes both files for one project when they lie beside each other.
        if len({path.parent for path, _ in found}) > 1:
            names = ", ".join(self._shown(path) for path, _ in found)
            notes.append(f"There are several Alembic projects ({names}); say which by calling rung from its folder.")
            return None
        if not found:
            return None
        path, location = found[0]
        versions = (path.parent / location / "versions").resolve()
        if not versions.is_dir() or not versions.is_relative_to(self.folder.resolve()):
            notes.append(f"{self._shown(path)} names {location}, in which there is no folder versions here.")
            return None
        revisions, unreadable = [], []
        for file in sorted(versions.rglob("*.py")):
            shown = self._shown(file)
            revision = _revision(_bytes(file), shown)
            if revision is not None:
                revisions.append(revision)
            elif file.name != "__init__.py":
                unreadable.append(shown)
        return AlembicProject(self._shown(versions), tuple(revisions), tuple(unreadable))

    def _shown(self, path: Path) -> str:
        return path.resolve().relative_to(self.folder.resolve()).as_posix()


def _named(folder: Path, names: set[str]) -> Iterator[Path]:
    """
    Yield the files of these names in *folder* and a few folders below it, the highest first.
    """
    level = [folder]
    for _ in range(DEPTH_MAX):
        below = []
        for each in level:
            entries = _entries(each)
            yield from (Path(entry.path) for entry in entries if entry.name in names and entry.is_file())
            below += [Path(entry.path) for entry in entries if _is_searched(entry)]
        level = below


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []  # what we may not look into holds nothing for us


def _is_searched(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and entry.name not in LEFT_OUT and not entry.name.startswith(".")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _script_location(path: Path, notes: list[str]) -> str | None:
    """
    Return the folder that a configuration of Alembic names, relative to it; None where it is none of Alembic's.
    """
    text = _bytes(path).decode(errors="replace")
    location: object = None
    try:
        if path.suffix == ".toml":
            location = tomllib.loads(text).get("tool", {}).get("alembic", {}).get("script_location")
        else:
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text)
            location = parser.get("alembic", "script_location", fallback=None)
    except (tomllib.TOMLDecodeError, configparser.Error, AttributeError):
        notes.append(f"{path.name} cannot be read, so it tells nothing of Alembic.")
    if not isinstance(location, str):
        return None
    location = location.replace("%(here)s", ".").replace("%%", "%")
    # package:folder, as Alembic takes it beside a path.
    package, colon, rest = location.partition(":")
    return f"{package.replace('.', '/')}/{rest}" if colon and len(package) > 1 else location


def _revision(source: bytes, path: str) -> Revision | None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    said: dict[str, Any] = {}
    for name, value in _assigned(tree.body):
        if name in {"revision", "down_revision"}:
            try:
                said[name] = ast.literal_eval(value)
            except ValueError:
                return None
    revision, down = said.get("revision"), said.get("down_revision")
    if not isinstance(revision, str):
        return None
    return Revision(path, revision, (down,) if isinstance(down, str) else tuple(down or ()))


def _assigned(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value

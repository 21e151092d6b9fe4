"""
What is asked of the user's repository, and how it is laid out.

In        nothing
Out       a question; how migrations are kept
Not here  reading it (adapters/repository.py, adapters/project.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rung.ports.asking import Question


@dataclass(frozen=True, slots=True)
class Source(Question):
    """
    The text of a file of the user's code, its path relative to the repository.  Answer: TextFile or Unavailable.
    """

    verb: ClassVar[str] = "source"
    port: ClassVar[str] = "repository"
    path: str


@dataclass(frozen=True, slots=True)
class Revision:
    """
    One revision of an Alembic project: its file, its id, and those that it builds on.
    """

    path: str
    name: str
    down: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AlembicProject:
    """
    The migrations of an Alembic project.

    Attributes:
        folder: Where new revisions go, relative to the repository.
        unreadable: Files among them that are not Python, or name no revision that can be read without running them.
    """

    folder: str
    revisions: tuple[Revision, ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DjangoMigration:
    """
    One migration of a Django app: its file, its name, those of the app that it builds on, those that it replaces.
    """

    path: str
    name: str
    builds_on: tuple[str, ...]
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DjangoModel:
    """
    A model with a table of its own, as its source tells.

    Attributes:
        app: The label of its app.
        path: Its file, relative to the repository.
        source: The text of that file.
        fields: Names of fields with their columns, those of base classes in the project included.
        folder: Where the app's migrations are, "" where it has none.
        migrations: What is there.
        managed: Whether Django makes the table; what it does not make it does not index either.
    """

    app: str
    name: str
    table: str
    path: str
    source: str
    fields: tuple[tuple[str, str], ...]
    folder: str
    migrations: tuple[DjangoMigration, ...]
    managed: bool = True


@dataclass(frozen=True, slots=True)
class Project:
    """
    How the user's repository keeps its migrations, as far as its files tell without being run.

    Attributes:
        alembic: None where it is no Alembic project.
        models: The Django models with the asked table; empty where it is no Django project.
        django: Whether it is a Django project.
        notes: What was found and could not be read, a sentence each.
    """

    alembic: AlembicProject | None = None
    django: bool = False
    models: tuple[DjangoModel, ...] = ()
    notes: tuple[str, ...] = ()

"""
Migrations as they are written, run by Alembic and by Django themselves against a real server, and taken back.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rung.adapters.hands import RepositoryHands
from rung.adapters.index_state import state_of
from rung.adapters.project import ProjectFiles
from rung.config import Settings
from rung.ports import Index, IndexColumn, NamedIndex, Work
from rung.steps.price.quote import BuildIndex, DropIndex, Quote
from rung.steps.take import Change, create_index, index_name, take
from tests import warm
from tests.asking import execute, rows
from tests.short import every
from tests.strategies import quote_of

PATIENCE_S_MAX = 60.0
INDEXES = {
    "plain": Index("public", "shop_order", (IndexColumn("customer_id"), IndexColumn("created_at", descending=True))),
    "nulls": Index(
        "public", "shop_order", (IndexColumn("created_at", True, nulls_first=False), IndexColumn("total", False, True))
    ),
    "expression": Index("public", "shop_order", (IndexColumn("lower((status)::text)", expression=True),)),
    "include": Index("public", "shop_order", (IndexColumn("customer_id"),), include=("total", "status")),
    "partial": Index("public", "shop_order", (IndexColumn("created_at"),), where="(status)::text = 'open'::text"),
    "class": Index("public", "shop_order", (IndexColumn("status", opclass="varchar_pattern_ops"),)),
    # What SQLAlchemy would take for parameters, and a driver for places.
    "signs": Index(
        "public", "shop_order",
        (IndexColumn("(status)::text || ' :x %s %%'::text", expression=True),),
        where="(status)::text <> ' :y %(z)s'::text",
    ),
}  # fmt: skip

ALEMBIC_INI = "[alembic]\nscript_location = db\n"
ENV = """\
import os, sys
sys.path.insert(0, os.getcwd())
import sqlalchemy as sa
from alembic import context
from models import metadata

engine = sa.create_engine(os.environ["URL"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
FIRST = """\
import sqlalchemy as sa
from alembic import op
revision: str = "0001"
down_revision = None

def upgrade():
    op.create_table(
        "shop_order", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("customer_id", sa.Integer),
        sa.Column("created_at", sa.DateTime(timezone=True)), sa.Column("status", sa.String(10)),
        sa.Column("total", sa.Integer),
    )

def downgrade():
    op.drop_table("shop_order")
"""
TABLE = """\
import sqlalchemy as sa
metadata = sa.MetaData()
orders = sa.Table(
    "shop_order", metadata, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("customer_id", sa.Integer),
    sa.Column("created_at", sa.DateTime(timezone=True)), sa.Column("status", sa.String(10)),
    sa.Column("total", sa.Integer),
    {index}
)
"""
MANAGE = """\
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
DJANGO_SETTINGS = """\
import os
from psycopg.conninfo import conninfo_to_dict
_parts = conninfo_to_dict(os.environ["DSN"])
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": _parts["dbname"], "USER": _parts["user"],
    "PASSWORD": _parts["password"], "HOST": _parts["host"], "PORT": _parts["port"],
}}
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SECRET_KEY = "of a test"
"""
MODELS = """\
from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=50)


class Dated(models.Model):
    created_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, db_index=False)
    created_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=10)
    total = models.IntegerField(null=True)
"""


@pytest.fixture
def alembic_project(database: str, tmp_path: Path) -> Path:
    (tmp_path / "db/versions").mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text(ALEMBIC_INI)
    (tmp_path / "db/env.py").write_text(ENV)
    (tmp_path / "db/script.py.mako").write_text("")
    (tmp_path / "db/versions/0001_first.py").write_text(FIRST)
    (tmp_path / "models.py").write_text(TABLE.format(index=""))
    alembic(tmp_path, database, "upgrade", "head")
    return tmp_path


@pytest.fixture
def django_project(database: str, tmp_path: Path) -> Path:
    (tmp_path / "shop/migrations").mkdir(parents=True)
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "site_settings.py").write_text(DJANGO_SETTINGS)
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/migrations/__init__.py").write_text("")
    (tmp_path / "shop/models.py").write_text(MODELS)
    manage(tmp_path, database, "makemigrations", "shop")
    manage(tmp_path, database, "migrate")
    return tmp_path


# Of two kinds, one is built by Alembic and one by Django; the other way round is long.
@pytest.mark.parametrize("kind", every(2, INDEXES))
def test_alembic_builds_it_and_takes_it_back(alembic_project: Path, database: str, kind: str) -> None:
    """
    What Alembic builds is what rung itself would have built, under the same name.
    """
    change = taken(alembic_project, database, INDEXES[kind])
    assert ["db/versions"] == [file.path.rpartition("/")[0] for file in change.files]
    alembic(alembic_project, database, *change.run.split()[1:])

    assert served(database, change.work)
    assert change.files == taken(alembic_project, database, INDEXES[kind]).files
    alembic(alembic_project, database, "downgrade", "-1")
    assert not there(database, change.work)
    # What is there already is no obstacle, whoever built it.
    hands(alembic_project, database).apply(work_of(change), say=lambda _: None, wait=True)
    alembic(alembic_project, database, *change.run.split()[1:])
    assert served(database, change.work)


@pytest.mark.parametrize("kind", every(2, ["plain", "include", "partial", "class"]))
def test_a_model_with_the_line_that_is_told_differs_in_nothing(alembic_project: Path, database: str, kind: str) -> None:
    change = taken(alembic_project, database, INDEXES[kind])
    alembic(alembic_project, database, "upgrade", "head")
    assert "remove_index" in alembic(alembic_project, database, "check", fails=True)
    line = change.notes[0].partition("drops it: ")[2]
    (alembic_project / "models.py").write_text(TABLE.format(index=line))

    assert "No new upgrade operations" in alembic(alembic_project, database, "check")


def test_alembic_refuses_a_leftover_of_a_failed_build(alembic_project: Path, database: str) -> None:
    """
    IF NOT EXISTS would take it for success, and the revision would be recorded.
    """
    change = taken(alembic_project, database, INDEXES["plain"])
    name = work_of(change).builds[0].name
    execute(database, work_of(change).statements[0].sql)
    execute(database, f"update pg_index set indisvalid = false where indexrelid = '{name}'::regclass")

    assert f"{name} is invalid" in alembic(alembic_project, database, "upgrade", "head", fails=True)
    assert [("0001",)] == rows(database, "select version_num from alembic_version")
    execute(database, f"drop index {name}")
    alembic(alembic_project, database, "upgrade", "head")
    assert served(database, change.work)


def test_alembic_drops_and_brings_back(alembic_project: Path, database: str) -> None:
    execute(database, "create index by_total on shop_order (total desc) where total > 5")
    change = dropped(alembic_project, database, "by_total")
    alembic(alembic_project, database, "upgrade", "head")
    assert [] == rows(database, "select from pg_class where relname = 'by_total'")
    alembic(alembic_project, database, "downgrade", "-1")

    assert served(database, change.work)


# Whether the fields of the model say it, or SQL beside Django's state does.
@pytest.mark.parametrize(
    ("kind", "by_fields"),
    every(2, [
        ("plain", True), ("nulls", True), ("expression", True), ("include", True), ("partial", True), ("class", True),
        ("signs", False),
    ], first=1),
)  # fmt: skip
def test_django_builds_it_and_takes_it_back(django_project: Path, database: str, kind: str, by_fields: bool) -> None:
    """
    Django's own checks find nothing amiss, makemigrations nothing to add, and the index is the one that was meant.
    """
    change = taken(django_project, database, INDEXES[kind])
    assert by_fields == (2 == len(change.files))
    if by_fields:
        # Without the line in the model, Django would take the index away again.
        manage(django_project, database, "makemigrations", "--check", "--dry-run", fails=True)
        patch = subprocess.run(
            ["git", "apply", change.files[1].path], cwd=django_project, capture_output=True, text=True, check=False
        )
        assert 0 == patch.returncode, patch.stderr
    manage(django_project, database, "check")
    manage(django_project, database, "makemigrations", "--check", "--dry-run")
    manage(django_project, database, *change.run.split()[2:])

    assert served(database, change.work)
    again = taken(django_project, database, INDEXES[kind])
    assert change.files[0] == again.files[0]
    manage(django_project, database, "migrate", "shop", "0001")
    assert not there(database, change.work)


def test_django_is_told_of_an_index_that_rung_built(django_project: Path, database: str) -> None:
    change = taken(django_project, database, INDEXES["plain"])
    hands(django_project, database).apply(work_of(change), say=lambda _: None, wait=True)

    manage(django_project, database, *change.run.split()[2:], fails=True)
    manage(django_project, database, *change.run.split()[2:], "--fake")
    manage(django_project, database, "migrate", "shop", "0001")
    assert not there(database, change.work)


@pytest.mark.parametrize("declared", [True, False])
def test_django_drops_and_brings_back(django_project: Path, database: str, declared: bool) -> None:
    models = django_project / "shop/models.py"
    if declared:
        meta = '\n    class Meta:\n        indexes = [models.Index(fields=["total"], name="by_total")]\n'
        models.write_text(MODELS + meta)
        manage(django_project, database, "makemigrations", "shop")
        manage(django_project, database, "migrate")
    else:
        execute(database, "create index by_total on shop_order (total)")
    change = dropped(django_project, database, "by_total")
    assert declared == ("RemoveIndexConcurrently" in change.files[0].text)
    if declared:
        models.write_text(MODELS)
    manage(django_project, database, "makemigrations", "--check", "--dry-run")
    manage(django_project, database, *change.run.split()[2:])
    assert [] == rows(database, "select from pg_class where relname = 'by_total'")
    manage(django_project, database, "migrate", "shop", "0002" if declared else "0001")

    assert served(database, change.work)


def taken(folder: Path, dsn: str, index: Index) -> Change:
    plan = BuildIndex(index, index_name(index), 1)
    quote = replace(quote_of(), name=f"index:{index_name(index)}", what=f"index {index_name(index)}", plan=plan)
    return written(folder, dsn, quote)


def dropped(folder: Path, dsn: str, name: str) -> Change:
    ((definition,),) = rows(dsn, f"select pg_get_indexdef('{name}'::regclass)")
    gone = DropIndex("public", "shop_order", name, definition, 1)
    quote = replace(quote_of(), name=f"index-drop:{name}", what=f"drop index {name}", plan=None, drop=gone)
    return written(folder, dsn, quote)


def written(folder: Path, dsn: str, quote: Quote) -> Change:
    change = take(quote, Settings(), ProjectFiles(folder).project(quote.table))
    hands(folder, dsn).write(change.files)
    return change


def hands(folder: Path, dsn: str) -> RepositoryHands:
    return RepositoryHands(folder, dsn, lock_timeout_s=PATIENCE_S_MAX, old_transaction_s=PATIENCE_S_MAX)


def work_of(change: Change) -> Work:
    assert change.work is not None
    return change.work


def index_of(work: Work | None) -> NamedIndex:
    assert work is not None
    index = work.builds[0] if work.builds else work.rebuilds
    assert index is not None
    return index


def served(dsn: str, work: Work | None) -> bool:
    """
    Return whether the index is there, valid, and as PostgreSQL writes the one that rung's own statement builds.
    """
    index = index_of(work)
    with psycopg.connect(dsn, autocommit=True) as connection:
        state = state_of(connection, index.schema, index.name)
        assert state is not None and state.valid
        if index.index is not None:
            other = replace(index.index)
            plain = create_index(other, "beside").sql.replace(" CONCURRENTLY", "")
            connection.execute(sql.SQL(plain))
            beside = state_of(connection, index.schema, "beside")
            connection.execute("drop index beside")
            assert beside is not None
            assert beside.definition.replace("beside", index.name, 1) == state.definition
        return state.serves(index)


def there(dsn: str, work: Work | None) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return state_of(connection, "public", index_of(work).name) is not None


def alembic(folder: Path, dsn: str, *arguments: str, fails: bool = False) -> str:
    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    return run(folder, ["-m", "alembic", *arguments], {"URL": url}, fails=fails)


def manage(folder: Path, dsn: str, *arguments: str, fails: bool = False) -> str:
    return run(folder, ["manage.py", *arguments], {"DSN": dsn}, fails=fails)


def run(folder: Path, arguments: list[str], given: dict[str, str], *, fails: bool) -> str:
    done = warm.migrating(folder, *arguments, environment={**os.environ, **given})
    assert fails == bool(done.returncode), done.stdout + done.stderr
    return done.stdout + done.stderr

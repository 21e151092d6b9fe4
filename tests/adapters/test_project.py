"""
How a repository keeps its migrations, read from its files and never by running them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.adapters.project import ProjectFiles
from rung.ports import AlembicProject, DjangoMigration, Project, Revision

BOOM = "raise SystemExit('it was run')\n"
REVISION = 'revision: str = "{name}"\ndown_revision = {down!r}\n'
MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n" + BOOM
MODELS = '''\
from django.contrib.auth.models import AbstractUser
from django.db import models
import mine

class Dated(models.Model):
    created: models.DateTimeField = models.DateTimeField()
    class Meta:
        abstract = True

class Order(Dated):
    """An order."""
    number = models.CharField(primary_key=True, max_length=9)
    customer = models.ForeignKey("Customer", models.CASCADE)
    status = mine.fields.StateField(db_column="state")
    tags = models.ManyToManyField("Tag")
    LIMIT = 5
    objects = models.Manager()

class Line(Order):
    pieces = models.IntegerField()

class Customer(AbstractUser):
    class Meta:
        db_table = "people"

class Proxy(Customer):
    class Meta:
        proxy = True

class NoModel:
    number = models.CharField()
'''
MIGRATION = """\
from django.db import migrations
raise SystemExit("it was run")

class Migration(migrations.Migration):
    dependencies = [("auth", "0012_x"), migrations.swappable_dependency(X), {dependencies}]
    replaces = [{replaces}]
"""


def test_a_folder_with_neither(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.ruff]\n")
    write(tmp_path, "node_modules/x/alembic.ini", "[alembic]\nscript_location = db\n")
    write(tmp_path, "manage.py", "print('of something else')")

    assert Project() == ProjectFiles(tmp_path).project("orders")


@pytest.mark.parametrize(
    ("place", "text", "folder"),
    [
        ("alembic.ini", "[alembic]\nscript_location = db/migrations\n", "db/migrations/versions"),
        ("alembic.ini", "[alembic]\nscript_location = %(here)s/db/migrations\n", "db/migrations/versions"),
        ("alembic.ini", "[alembic]\nscript_location = db:migrations\n", "db/migrations/versions"),
        ("pyproject.toml", '[tool.alembic]\nscript_location = "%(here)s/db/migrations"\n', "db/migrations/versions"),
        ("backend/alembic.ini", "[alembic]\nscript_location = db/migrations\n", "backend/db/migrations/versions"),
    ],
)
def test_revisions_of_alembic(tmp_path: Path, place: str, text: str, folder: str) -> None:
    write(tmp_path, place, text)
    write(tmp_path, f"{folder}/a.py", BOOM + REVISION.format(name="aaaa", down=None))
    write(tmp_path, f"{folder}/b.py", REVISION.format(name="bbbb", down="aaaa"))
    write(tmp_path, f"{folder}/2026/m.py", REVISION.format(name="mmmm", down=("aaaa", "bbbb")))
    write(tmp_path, f"{folder}/__init__.py", "")
    found = ProjectFiles(tmp_path).project("orders")

    assert () == found.notes
    assert (
        AlembicProject(
            folder,
            (
                Revision(f"{folder}/2026/m.py", "mmmm", ("aaaa", "bbbb")),
                Revision(f"{folder}/a.py", "aaaa", ()),
                Revision(f"{folder}/b.py", "bbbb", ("aaaa",)),
            ),
        )
        == found.alembic
    )


def test_both_files_of_alembic_beside_each_other_are_one_project(tmp_path: Path) -> None:
    write(tmp_path, "alembic.ini", "[alembic]\nscript_location = db\n")
    write(tmp_path, "pyproject.toml", '[tool.alembic]\nscript_location = "db"\n')
    write(tmp_path, "db/versions/a.py", REVISION.format(name="aaaa", down=None))

    assert ProjectFiles(tmp_path).project("orders").alembic is not None


@pytest.mark.parametrize("text", ["revision = name()\n", "down_revision = None\n", "not python (", "\0"])
def test_what_is_no_revision_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path, "alembic.ini", "[alembic]\nscript_location = db\n")
    write(tmp_path, "db/versions/odd.py", text)
    found = ProjectFiles(tmp_path).project("orders").alembic

    assert found is not None
    assert ("db/versions/odd.py",) == found.unreadable


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"a/alembic.ini": "[alembic]\nscript_location = db\n", "b/alembic.ini": "[alembic]\nscript_location = db\n"},
         "several Alembic projects (a/alembic.ini, b/alembic.ini)"),
        ({"alembic.ini": "[alembic]\nscript_location = nowhere\n"}, "names nowhere, in which there is no folder"),
        ({"alembic.ini": "[alembic]\nscript_location = /etc\n"}, "no folder versions"),
        ({"alembic.ini": "no section"}, "alembic.ini cannot be read"),
        ({"pyproject.toml": "not = [toml"}, "pyproject.toml cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told(tmp_path: Path, files: dict[str, str], note: str) -> None:
    for name, text in files.items():
        write(tmp_path, name, text)
    found = ProjectFiles(tmp_path).project("orders")

    assert found.alembic is None
    assert note in found.notes[0]


def test_models_of_django(tmp_path: Path) -> None:
    write(tmp_path, "site/manage.py", MANAGE)
    write(tmp_path, "site/shop/models.py", MODELS + BOOM)
    write(tmp_path, "site/shop/migrations/__init__.py", "")
    write(tmp_path, "site/shop/migrations/0001_initial.py", MIGRATION.format(dependencies="", replaces=""))
    later = MIGRATION.format(
        dependencies='("shop", "0001_initial")', replaces='("shop", "0002_a"), ("other", "0002_b")'
    )
    write(tmp_path, "site/shop/migrations/0003_squashed.py", later)
    (order,) = ProjectFiles(tmp_path).project("shop_order").models

    assert ("shop", "Order", "site/shop/models.py") == (order.app, order.name, order.path)
    assert {"created": "created", "number": "number", "customer": "customer_id", "status": "state"} == dict(
        order.fields
    )
    assert order.source.startswith("from django")
    folder = "site/shop/migrations"
    assert (
        DjangoMigration(f"{folder}/0001_initial.py", "0001_initial", ()),
        DjangoMigration(f"{folder}/0003_squashed.py", "0003_squashed", ("0001_initial",), ("0002_a",)),
    ) == order.migrations


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("people", ["Customer"]), ("shop_customer", []), ("shop_dated", []), ("shop_nomodel", []), ("shop_proxy", []),
        ("shop_line", ["Line"]),
    ],
)  # fmt: skip
def test_which_model_has_a_table(tmp_path: Path, table: str, names: list[str]) -> None:
    write(tmp_path, "manage.py", MANAGE)
    write(tmp_path, "shop/models.py", MODELS)

    found = ProjectFiles(tmp_path).project(table)
    assert found.django
    assert names == [model.name for model in found.models]


def test_fields_of_a_base_with_a_table_are_in_that_table(tmp_path: Path) -> None:
    write(tmp_path, "manage.py", MANAGE)
    write(tmp_path, "shop/models.py", MODELS)
    (line,) = ProjectFiles(tmp_path).project("shop_line").models

    assert "customer" not in dict(line.fields) and "pieces" in dict(line.fields)


def test_a_label_and_a_folder_of_models(tmp_path: Path) -> None:
    write(tmp_path, "manage.py", MANAGE)
    write(tmp_path, "apps/orders/models/__init__.py", "from .order import Order\n")
    write(tmp_path, "apps/orders/models/order.py", MODELS)
    write(tmp_path, "apps/orders/apps.py", 'class Orders(AppConfig):\n    name = "apps.orders"\n    label = "sales"\n')
    write(tmp_path, "apps/orders/migrations/0001_initial.py", MIGRATION.format(dependencies="", replaces=""))
    (order,) = ProjectFiles(tmp_path).project("sales_order").models

    assert ("sales", "apps/orders/models/order.py") == (order.app, order.path)
    assert ["apps/orders/migrations/0001_initial.py"] == [migration.path for migration in order.migrations]


def test_a_models_file_that_is_no_python_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "manage.py", MANAGE)
    write(tmp_path, "a/models.py", "not python (")
    write(tmp_path, "shop/models.py", MODELS)

    assert 1 == len(ProjectFiles(tmp_path).project("people").models)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)

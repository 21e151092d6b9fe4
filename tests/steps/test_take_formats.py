"""
Taking a move in the project's own way: an Alembic revision, a Django migration, or plain SQL with the reason why.
"""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest
from hypothesis import given

from rung.config import ALEMBIC, DJANGO, SQL, Settings
from rung.ports import AlembicProject, DjangoMigration, DjangoModel, Index, IndexColumn, Project, Revision
from rung.steps.price.quote import BuildIndex, DropIndex, Quote, Script
from rung.steps.take import Change, named, take
from rung.steps.take.django_index import Spelling, spelled
from tests.strategies import CUSTOMER_INDEX, quote_of, words

HERE = Settings()
MODELS = """\
from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=50)


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    created_at = models.DateTimeField()
    status = models.CharField(max_length=10)

    def __str__(self):
        return self.status
"""
FIELDS = (("id", "id"), ("customer", "customer_id"), ("created_at", "created_at"), ("status", "status"))
FIRST = DjangoMigration("shop/migrations/0001_initial.py", "0001_initial", ())
MODEL = DjangoModel(
    app="shop", name="Order", table="orders", path="shop/models.py", source=MODELS, fields=FIELDS,
    folder="shop/migrations", migrations=(FIRST,),
)  # fmt: skip
REVISIONS = (Revision("db/versions/a_first.py", "aaaa", ()), Revision("db/versions/b_next.py", "bbbb", ("aaaa",)))
ALEMBIC_PROJECT = Project(alembic=AlembicProject("db/versions", REVISIONS))
DJANGO_PROJECT = Project(django=True, models=(MODEL,))
GONE = DropIndex("public", "orders", "by_status", "CREATE INDEX by_status ON public.orders USING btree (status)", 1)

REVISION = '''\
"""index orders (customer_id, created_at DESC)

Revision ID: a3efb3efc73e
Revises: bbbb
"""

import sqlalchemy as sa
from alembic import op

revision = "a3efb3efc73e"
down_revision = "bbbb"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Indexes are built and dropped without blocking writers, which no transaction can do.
    with op.get_context().autocommit_block():
        op.execute(sa.text("SET statement_timeout = 0"))
        op.execute(sa.text("SET lock_timeout = '300s'"))
        op.create_index(
            "orders_customer_id_created_at_desc_rung",
            "orders",
            ["customer_id", sa.text("\\"created_at\\" DESC")],
            schema="public",
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        if not op.get_context().as_sql:
            valid = op.get_bind().scalar(sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = \
'\\"public\\".\\"orders_customer_id_created_at_desc_rung\\"'::regclass"))
            if not valid:
                raise RuntimeError("orders_customer_id_created_at_desc_rung is invalid: an earlier build failed \
half-way. Drop it, then upgrade again.")
        op.execute(sa.text("RESET lock_timeout"))
        op.execute(sa.text("RESET statement_timeout"))


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(sa.text("SET statement_timeout = 0"))
        op.execute(sa.text("SET lock_timeout = '300s'"))
        op.drop_index(
            "orders_customer_id_created_at_desc_rung",
            table_name="orders",
            schema="public",
            postgresql_concurrently=True,
            if_exists=True,
        )
        op.execute(sa.text("RESET lock_timeout"))
        op.execute(sa.text("RESET statement_timeout"))
'''

DJANGO_MIGRATION = """\
# index orders (customer_id, created_at DESC)
#
# Indexes are built and dropped without blocking writers, which no transaction can do: hence atomic = False.
# A build that failed half-way leaves an invalid index of this name behind: drop it, then migrate again.

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("shop", "0001_initial")]

    operations = [
        migrations.RunSQL(["SET statement_timeout = 0", "SET lock_timeout = '300s'"], \
["RESET lock_timeout", "RESET statement_timeout"]),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(fields=["customer", "-created_at"], name="{name}"),
        ),
        migrations.RunSQL(["RESET lock_timeout", "RESET statement_timeout"], \
["SET statement_timeout = 0", "SET lock_timeout = '300s'"]),
    ]
"""
MODEL_DIFF = """\
--- a/shop/models.py
+++ b/shop/models.py
@@ -10,5 +10,10 @@
     created_at = models.DateTimeField()
     status = models.CharField(max_length=10)
\x20
+    class Meta:
+        indexes = [
+            models.Index(fields=["customer", "-created_at"], name="{name}"),
+        ]
+
     def __str__(self):
         return self.status
"""


def test_a_revision_is_this_text() -> None:
    change = take(quote_of(), HERE, ALEMBIC_PROJECT)

    (file,) = change.files
    assert REVISION == file.text
    assert "db/versions/a3efb3efc73e_orders_customer_id_created_at_desc_rung.py" == file.path
    assert "alembic upgrade head" == change.run
    (note,) = change.notes
    assert 'sa.Index("orders_customer_id_created_at_desc_rung", "customer_id", sa.text(' in note


def test_a_revision_that_is_there_stays_where_it_is() -> None:
    """
    Taken again, it does not build on itself, nor on what was put on top of it since.
    """
    first = take(quote_of(), HERE, ALEMBIC_PROJECT)
    ours = Revision(first.files[0].path, "a3efb3efc73e", ("bbbb",))
    later = Revision("db/versions/c_later.py", "cccc", ("a3efb3efc73e",))

    assert first == take(quote_of(), HERE, Project(alembic=AlembicProject("db/versions", (*REVISIONS, ours, later))))


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        (AlembicProject("db/versions", ()), "has no revision to build on"),
        (AlembicProject("db/versions", (*REVISIONS, Revision("x.py", "xxxx", ("aaaa",)))), "2 heads (bbbb, xxxx)"),
        (AlembicProject("db/versions", REVISIONS, ("db/versions/odd.py",)), "db/versions/odd.py names no revision"),
    ],
)
def test_without_one_head_it_is_plain_sql(project: AlembicProject, reason: str) -> None:
    change = take(quote_of(), HERE, Project(alembic=project))

    assert sorted([".sql", ".undo.sql"]) == sorted(endings(change))
    assert reason in change.notes[0] and change.notes[0].startswith("Written as plain SQL: ")


def test_a_django_migration_is_this_text() -> None:
    """
    The name is one that Django takes, and what rung itself would run has it too.
    """
    change = take(quote_of(), HERE, DJANGO_PROJECT)
    assert change.work is not None
    name = change.work.builds[0].name

    assert 30 == len(name) and name.startswith("orders_customer_") and name.endswith("_rung")
    assert [
        (f"shop/migrations/0002_{name}.py", DJANGO_MIGRATION.replace("{name}", name)),
        ("rung/migrations/index-orders-customer_id-created_at.model.diff", MODEL_DIFF.replace("{name}", name)),
    ] == [(file.path, file.text) for file in change.files]
    assert name in change.work.statements[0].sql and name in change.work.undo[0].sql
    assert f"python manage.py migrate shop 0002_{name}" == change.run
    assert "git apply rung/migrations/index-orders-customer_id-created_at.model.diff" in change.notes[0]


def test_a_migration_that_is_there_keeps_its_number() -> None:
    first = take(quote_of(), HERE, DJANGO_PROJECT)
    name = first.files[0].path.rpartition("/")[2].removesuffix(".py")
    there = DjangoMigration(first.files[0].path, name, ("0001_initial",))
    later = DjangoMigration("shop/migrations/0003_later.py", "0003_later", (name,))
    project = Project(django=True, models=(replace(MODEL, migrations=(FIRST, there, later)),))

    assert first == take(quote_of(), HERE, project)


def test_the_ledgers_quote_has_the_name_that_was_given() -> None:
    """
    An undo finds its index also after the project has changed its ways.
    """
    change = take(quote_of(), HERE, DJANGO_PROJECT)
    kept = named(quote_of(), change.work)
    later = take(kept, HERE)

    assert change.work is not None and later.work is not None
    assert change.work.undo == later.work.undo


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        (Project(django=True), "no model has the table orders"),
        (Project(django=True, models=(MODEL, MODEL)), "the models shop.Order and shop.Order share the table orders"),
        (Project(django=True, models=(replace(MODEL, migrations=()),)), "the app shop has no migrations"),
        (
            Project(django=True, models=(replace(MODEL, migrations=(FIRST, replace(FIRST, name="0001_other"))),)),
            "2 newest migrations (0001_initial, 0001_other)",
        ),
    ],
)
def test_without_a_place_in_django_it_is_plain_sql(project: Project, reason: str) -> None:
    change = take(quote_of(), HERE, project)

    assert [".sql", ".undo.sql"] == endings(change)
    assert any(reason in note for note in change.notes)


def test_what_fields_cannot_say_is_run_beside_the_state() -> None:
    """
    A column that no field has is indexed all the same, and it is said that Django does not know.
    """
    index = Index("public", "orders", (IndexColumn("legacy"),))
    change = take(replace(quote_of(), plan=BuildIndex(index, "orders_legacy_rung", 1)), HERE, DJANGO_PROJECT)

    (file,) = change.files
    assert "SeparateDatabaseAndState" in file.text and "AddIndexConcurrently" not in file.text
    assert "from django.db import migrations\n" in file.text
    assert "the column legacy is no field of the model" in change.notes[0]


def test_a_table_that_django_does_not_manage_is_indexed_beside_its_state() -> None:
    """
    AddIndexConcurrently would do nothing there, and say nothing.
    """
    change = take(quote_of(), HERE, Project(django=True, models=(replace(MODEL, managed=False),)))

    assert "SeparateDatabaseAndState" in change.files[0].text
    assert "Order is no table that Django manages" in change.notes[0]


@pytest.mark.parametrize(
    ("index", "arguments"),
    [
        ("lower((status)::text)", ['Lower("status")']),
        ("upper(status)", ['Upper("status")']),
        ("lower((status || 'x'))", None),
        ("(created_at)::date", None),
    ],
)
def test_expressions_that_django_can_say(index: str, arguments: list[str] | None) -> None:
    found = spelled(Index("public", "orders", (IndexColumn(index, expression=True),)), columns_of(MODEL))

    assert (arguments is None) == isinstance(found, str)
    if isinstance(found, Spelling):
        assert arguments == list(found.arguments)


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("(status)::text = 'open'::text", 'models.Q(status="open")'),
        ("(customer_id IS NOT NULL) AND ((status)::text = 'x'::text)",
         'models.Q(customer__isnull=False) & models.Q(status="x")'),
        ("status <> 'x'::text", None),
        ("customer_id IS NULL", "models.Q(customer__isnull=True)"),
        ("id >= 5", "models.Q(id__gte=5)"),
        ("NOT status", "models.Q(status=False)"),
        ("created_at > now()", None),
        ("created_at = '2026-01-01'::date", None),
        ("legacy = 1", None),
    ],
)  # fmt: skip
def test_conditions_that_django_can_say(where: str, condition: str | None) -> None:
    found = spelled(replace(CUSTOMER_INDEX, where=where), columns_of(MODEL))

    assert (condition is None) == isinstance(found, str)
    if isinstance(found, Spelling):
        assert f"condition={condition}" == found.arguments[-1]


def test_orders_of_nulls_operator_classes_and_columns_carried_along() -> None:
    nulls = Index("public", "orders", (IndexColumn("created_at", True, nulls_first=False), IndexColumn("id")))
    classes = Index("public", "orders", (IndexColumn("status", opclass="text_pattern_ops"),), include=("customer_id",))

    assert ('models.F("created_at").desc(nulls_last=True)', 'models.F("id")') == arguments(nulls)
    assert ('fields=["status"]', 'opclasses=["text_pattern_ops"]', 'include=["customer"]') == arguments(classes)


ONE = 'models.Index(fields=["status"], name="s")'


@pytest.mark.parametrize(
    "before",
    [
        f"        indexes = [{ONE}]",
        f"        indexes = [{ONE},]",
        f"        indexes = [\n            {ONE},\n        ]",
        f"        indexes = [\n            {ONE}\n        ]",
        f"        indexes = [\n            {ONE},\n            {ONE},  # größer\n        ]",
        '        ordering = ["id"]',
    ],
)
def test_indexes_that_are_declared_already_get_one_more(before: str) -> None:
    """
    Whatever the list looks like, it parses afterwards and has one more.
    """
    source = MODELS.replace("    def __str__", f"    class Meta:\n{before}\n\n    def __str__")
    change = take(quote_of(), HERE, Project(django=True, models=(replace(MODEL, source=source),)))
    edited = ast.parse(patched(source, change.files[1].text))
    lists = [
        node.value.elts
        for node in ast.walk(edited)
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "indexes"
        and isinstance(node.value, ast.List)
    ]

    assert [before.count("models.Index") + 1] == [len(elements) for elements in lists]
    assert "_rung" in ast.unparse(lists[0][-1])


@pytest.mark.parametrize(
    "source",
    [
        MODELS.replace("from django.db import models", "from django.db import models as m"),
        MODELS.replace("class Order(models.Model)", "class Order(Dated)"),
        MODELS.replace("    def __str__", "    class Meta:\n        indexes = tuple(MINE)\n\n    def __str__"),
        "not python at all (",
    ],
)
def test_a_model_that_cannot_be_edited_gets_a_sentence(source: str) -> None:
    change = take(quote_of(), HERE, Project(django=True, models=(replace(MODEL, source=source),)))

    assert 1 == len(change.files)
    assert "Declare it in Meta.indexes of Order in shop/models.py" in change.notes[0]


def test_a_drop_is_written_in_each_format() -> None:
    quote = drop_of(GONE)
    plain, alembic, django = (take(quote, HERE, project) for project in (Project(), ALEMBIC_PROJECT, DJANGO_PROJECT))
    declared = MODELS.replace(
        "    def", '    class Meta:\n        indexes = [models.Index(name="by_status")]\n\n    def'
    )
    known = take(quote, HERE, Project(django=True, models=(replace(MODEL, source=declared),)))

    assert 'DROP INDEX CONCURRENTLY IF EXISTS "public"."by_status";' in plain.files[0].text
    assert "CREATE INDEX CONCURRENTLY by_status ON public.orders USING btree (status);" in plain.files[1].text
    assert "op.drop_index(" in alembic.files[0].text.partition("def downgrade")[0]
    assert "CREATE INDEX CONCURRENTLY by_status" in alembic.files[0].text.partition("def downgrade")[2]
    assert "SeparateDatabaseAndState" in django.files[0].text
    assert 'RemoveIndexConcurrently(model_name="order", name="by_status")' in known.files[0].text
    assert plain.work == alembic.work == django.work == known.work


def test_statements_of_any_kind_are_written() -> None:
    quote = replace(quote_of(), plan=None, script=Script(("ANALYZE orders",), ()))

    assert "ANALYZE orders;" in take(quote, HERE).files[0].text
    assert 'op.execute(sa.text("ANALYZE orders"))' in take(quote, HERE, ALEMBIC_PROJECT).files[0].text


SECOND = BuildIndex(Index("public", "orders", (IndexColumn("lower((status)::text)", expression=True),)), "second", 1)


def test_several_indexes_are_one_change() -> None:
    """
    Each format has them all, in order, and takes them back the other way round.
    """
    quote = replace(quote_of(), name="indexes:orders(customer_id)+orders(status)", beside=(SECOND,))
    plain, alembic, django = (take(quote, HERE, project) for project in (Project(), ALEMBIC_PROJECT, DJANGO_PROJECT))

    for change in (plain, alembic, django):
        assert change.work is not None
        assert (2, 2, 2) == (len(change.work.statements), len(change.work.undo), len(change.work.builds))
        assert [2, "second"] == [len(change.work.builds), named(quote, change.work).beside[0].name]
    assert [2, 2] == [file.text.count("INDEX CONCURRENTLY") for file in plain.files]
    assert plain.files[1].text.index("second") < plain.files[1].text.index("orders_customer_id")
    assert (2, 2) == (alembic.files[0].text.count("op.create_index("), alembic.files[0].text.count("op.drop_index("))
    assert 2 == len(alembic.notes)
    assert 2 == django.files[0].text.count("AddIndexConcurrently(")
    edited = patched(MODELS, django.files[1].text)
    assert 2 == edited.count("models.Index(") and "import Lower" in edited and ast.parse(edited)


def test_indexes_of_several_tables_are_plain_sql_in_django() -> None:
    other = BuildIndex(Index("public", "customers", (IndexColumn("name"),)), "other", 1)
    change = take(replace(quote_of(), beside=(other,)), HERE, DJANGO_PROJECT)

    assert [".sql", ".undo.sql"] == endings(change)
    assert "several tables" in change.notes[0]


def test_a_partitioned_table_is_plain_sql() -> None:
    plan = BuildIndex(CUSTOMER_INDEX, "by_customer_rung", 1, partitioned=True)
    for project in (Project(), ALEMBIC_PROJECT, DJANGO_PROJECT):
        change = take(replace(quote_of(), plan=plan), HERE, project)
        migration, undo = (file.text for file in change.files)

        assert "ON ONLY" in migration and "ATTACH PARTITION" in migration
        assert "CONCURRENTLY" not in undo and 'DROP INDEX IF EXISTS "public"."by_customer_rung"' in undo


@pytest.mark.parametrize(
    ("kind", "ending"), [(SQL, ".undo.sql"), (ALEMBIC, "_orders_customer_id_created_at_desc_rung.py"), (DJANGO, ".py")]
)
def test_the_setting_chooses(kind: str, ending: str) -> None:
    both = Project(alembic=ALEMBIC_PROJECT.alembic, django=True, models=(MODEL,))
    change = take(quote_of(), replace(HERE, migrations_format=kind), both)

    assert any(file.path.endswith(ending) for file in change.files)
    assert (kind == DJANGO) == any("shop/migrations" in file.path for file in change.files)


@pytest.mark.parametrize(("kind", "lacks"), [(ALEMBIC, "alembic.ini"), (DJANGO, "manage.py")])
def test_a_format_that_the_project_has_not_is_told(kind: str, lacks: str) -> None:
    change = take(quote_of(), replace(HERE, migrations_format=kind))

    assert [".sql", ".undo.sql"] == endings(change) and lacks in change.notes[0]


@given(table=words, column=words, name=words)
def test_whatever_things_are_called_it_is_python(table: str, column: str, name: str) -> None:
    """
    No name ends the text that it stands in.
    """
    index = Index("public", table, (IndexColumn(column, descending=True),), include=(name,), where=f"{name!r} IS NULL")
    model = replace(MODEL, table=table, fields=((column, column), (name, name)))
    quote = replace(quote_of(), what=f"index {table} ({column})", plan=BuildIndex(index, name, 1))
    without = replace(model, fields=())
    for project in (ALEMBIC_PROJECT, *(Project(django=True, models=(each,)) for each in (model, without))):
        for file in take(quote, HERE, project).files:
            assert not file.path.endswith(".py") or ast.parse(file.text)


def endings(change: Change) -> list[str]:
    return [file.path[len("rung/migrations/index-orders-customer_id-created_at") :] for file in change.files]


def arguments(index: Index) -> tuple[str, ...]:
    found = spelled(index, columns_of(MODEL))
    assert isinstance(found, Spelling)
    return found.arguments


def columns_of(model: DjangoModel) -> dict[str, str]:
    return {column: name for name, column in model.fields}


def drop_of(gone: DropIndex) -> Quote:
    return replace(quote_of(), name="index-drop:by_status", what="drop index by_status", plan=None, drop=gone)


def patched(source: str, diff: str) -> str:
    """
    Return *source* with a diff of one file applied.
    """
    lines, edited, at = source.splitlines(keepends=True), [], 0
    for line in diff.splitlines(keepends=True)[2:]:
        if line.startswith("@@"):
            begin = int(line.split()[1].lstrip("-").split(",")[0]) - 1
            edited += lines[at:begin]
            at = begin
        elif line.startswith("+"):
            edited.append(line[1:])
        else:
            assert lines[at] == line[1:]
            edited += lines[at : at + 1] * line.startswith(" ")
            at += 1
    return "".join(edited + lines[at:])

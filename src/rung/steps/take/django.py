"""
Write a change as a migration of a Django app.

In        a Draft, and the model with its table
Out       the migration, and a diff of the model; or the reason why it cannot be one
Not here  reading models and migrations (adapters/project.py), the model's own text (model_diff.py)

What a model's fields can spell becomes AddIndexConcurrently, so that Django's state knows the index; what they
cannot becomes RunSQL, which the state does not know, and that is said.
Source: Django documentation, Indexes (name, fields, expressions, condition, include, opclasses), and PostgreSQL
specific migration operations (AddIndexConcurrently: atomic = False).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rung.ports import DjangoMigration, DjangoModel, Index, NamedIndex, Project, Statement, TextFile, Work
from rung.steps.take.django_index import spelled
from rung.steps.take.draft import Draft, Written, file_stem, python_text
from rung.steps.take.model_diff import declares, model_diff
from rung.steps.take.sql import NO_PATIENCE, PATIENCE, create_index, drop_index, index_name

NAME_MAX = 30  # Index.max_name_length; a longer one fails Django's system check models.E034

MIGRATION = """\
# {what}
#
# Indexes are built and dropped without blocking writers, which no transaction can do: hence atomic = False.
# A build that failed half-way leaves an invalid index of this name behind: drop it, then migrate again.

{imports}


class Migration(migrations.Migration):
    atomic = False

    dependencies = [({app}, {below})]

    operations = [
        migrations.RunSQL({patience}, {no_patience}),
{operation}
        migrations.RunSQL({no_patience}, {patience}),
    ]
"""
ADD = """\
        AddIndexConcurrently(
            model_name={model},
            index={index},
        ),"""
REMOVE = """\
        RemoveIndexConcurrently(model_name={model}, name={name}),"""
RUN = """\
        # Django's state does not know it: {reason}.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [{statement}],
                    [{undo}],
                ),
            ],
        ),"""


def write(draft: Draft, project: Project) -> Written | str:
    """
    Return *draft* as a migration of the app that has its table, or why it cannot be one.
    """
    if not project.django:
        return "there is no manage.py"
    if not draft.indexes:
        return "which app such statements belong to cannot be told"
    table = draft.indexes[0].table
    if any(index.table != table for index in draft.indexes):
        return "the indexes are on several tables, and a migration is for one model"
    if any(index.partitioned for index in draft.indexes):
        return "a partitioned table takes statements for each partition, which a migration would have to find first"
    if draft.indexes[0].schema != "public":
        return f"a model does not say that its table is in the schema {draft.indexes[0].schema}"
    if len(project.models) != 1:
        found = " and ".join(f"{model.app}.{model.name}" for model in project.models)
        return f"the models {found} share the table {table}" if found else f"no model has the table {table}"
    model = project.models[0]
    if not model.migrations:
        return f"the app {model.app} has no migrations"
    return _migration(draft, model)


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    What stands in the migration, and what comes with it.

    Attributes:
        call: What declares the index in its model, "" where nothing does.
    """

    text: str
    work: Work
    imports: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    call: str = ""


def _migration(draft: Draft, model: DjangoModel) -> Written | str:
    gone = draft.work.rebuilds
    if gone is not None:
        operations = [_removed(draft.work, model, gone.name)]
        work = draft.work
    else:
        pairs = zip(draft.work.builds, draft.work.undo, strict=True)
        operations = [_added(Work((built.create,), (drop,), (built,)), model) for built, drop in pairs]
        work = Work(
            tuple(each for operation in operations for each in operation.work.statements),
            tuple(each for operation in operations for each in operation.work.undo),
            tuple(each for operation in operations for each in operation.work.builds),
        )
    place = _placed(model, f"drop_{gone.name}" if gone is not None else work.builds[0].name)
    if isinstance(place, str):
        return place
    text = "\n".join(operation.text for operation in operations)
    imports = {line for operation in operations for line in operation.imports}
    names = "migrations, models" if "models." in text else "migrations"
    migration = MIGRATION.format(
        what=draft.what,
        imports="\n".join(sorted([*imports, f"from django.db import {names}"])),
        app=python_text(model.app),
        below=python_text(place.builds_on[0]),
        patience=_statements([each.format(timeout_s=draft.timeout_s) for each in PATIENCE]),
        no_patience=_statements(NO_PATIENCE),
        operation=text,
    )
    files, notes = _declared(draft, model, operations)
    told = [note for operation in operations for note in operation.notes]
    return Written(
        (TextFile(place.path, migration), *files),
        work,
        (*told, *notes),
        run=f"python manage.py migrate {model.app} {place.name}",
    )


def _added(work: Work, model: DjangoModel) -> _Operation:
    (built,) = work.builds
    assert built.index is not None
    columns = {column: name for name, column in model.fields}
    found = spelled(built.index, columns) if model.managed else f"{model.name} is no table that Django manages"
    if isinstance(found, str):
        note = f"Django's state does not know the index, so makemigrations leaves it alone: {found}."
        return _Operation(_run(work, found), work, notes=(note,))
    work = _named_anew(built.index, built)
    name = work.builds[0].name
    call = found.call(name)
    imports = ("from django.contrib.postgres.operations import AddIndexConcurrently", *found.imports)
    text = ADD.format(model=python_text(model.name.lower()), index=call)
    return _Operation(text, work, imports, call="" if declares(model.source, model.name, name) else call)


def _removed(work: Work, model: DjangoModel, name: str) -> _Operation:
    if model.managed and declares(model.source, model.name, name):
        note = f"Take {name} out of Meta.indexes of {model.name} in {model.path}, or makemigrations adds it again."
        imports = ("from django.contrib.postgres.operations import RemoveIndexConcurrently",)
        text = REMOVE.format(model=python_text(model.name.lower()), name=python_text(name))
        return _Operation(text, work, imports, (note,))
    note = f"If a field of {model.name} has db_index=True for it, take that out as well."
    return _Operation(_run(work, f"no Meta.indexes of {model.name} declares it"), work, notes=(note,))


def _named_anew(index: Index, built: NamedIndex) -> Work:
    """
    Return the work under a name that Django takes.
    """
    name = built.name if len(built.name) <= NAME_MAX else index_name(index, bytes_max=NAME_MAX)
    # Django refuses a name that begins with what only quotes allow.
    name = re.sub(r"^[_0-9]", "i", name)
    create = create_index(index, name)
    return Work((create,), (drop_index(index, name),), (replace(built, name=name, create=create),))


def _declared(
    draft: Draft, model: DjangoModel, operations: list[_Operation]
) -> tuple[tuple[TextFile, ...], tuple[str, ...]]:
    """
    Return the diff that declares the indexes in their model, and what to do with it.
    """
    calls = [operation.call for operation in operations if operation.call]
    if not calls:
        return (), ()
    beginning = f"Declare it in Meta.indexes of {model.name} in {model.path}, or makemigrations removes it:"
    functions = {line for operation in operations for line in operation.imports if "functions" in line}
    text = model_diff(model, calls, sorted(functions))
    if text is None:
        return (), (f"{beginning} {', '.join(calls)}",)
    file = TextFile(f"{draft.folder}/{file_stem(draft.move)}.model.diff", text)
    return (file,), (f"{beginning} git apply {file.path}",)


def _run(work: Work, reason: str) -> str:
    # A name in it may hold a line break, which would end the comment.
    reason = " ".join(reason.split())
    return RUN.format(reason=reason, statement=_quoted(work.statements), undo=_quoted(work.undo))


def _quoted(statements: tuple[Statement, ...]) -> str:
    return ", ".join(python_text(statement.sql) for statement in statements)


def _statements(each: list[str] | tuple[str, ...]) -> str:
    return f"[{', '.join(map(python_text, each))}]"


def _placed(model: DjangoModel, suffix: str) -> DjangoMigration | str:
    """
    Return our migration as it is there, or where it would be; or why that cannot be told.
    """
    suffix = re.sub(r"\W+", "_", suffix)
    for migration in model.migrations:
        if re.fullmatch(r"[0-9]{4}_" + re.escape(suffix), migration.name) and migration.builds_on:
            return migration
    below = {name for migration in model.migrations for name in (*migration.builds_on, *migration.replaces)}
    newest = [migration for migration in model.migrations if migration.name not in below]
    if len(newest) != 1:
        names = ", ".join(sorted(migration.name for migration in newest))
        found = f"the app {model.app} has {len(newest)} newest migrations ({names})"
        return f"{found}; after `makemigrations --merge` take it again"
    numbers = [int(number[0]) for migration in model.migrations if (number := re.match(r"[0-9]{4}", migration.name))]
    name = f"{max(numbers, default=0) + 1:04}_{suffix}"
    return DjangoMigration(f"{model.folder}/{name}.py", name, (newest[0].name,))

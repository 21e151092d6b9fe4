"""
Write a change as a revision of an Alembic project.

In        a Draft, and the project's revisions
Out       the revision, its downgrade in it; or the reason why it cannot be one
Not here  reading the revisions (adapters/project.py)

CREATE INDEX CONCURRENTLY cannot run in the transaction that Alembic opens, hence autocommit_block.  IF NOT EXISTS
takes a leftover of a failed build for success, so the revision asks whether the index is valid.
Source: Alembic documentation, Operation Reference (create_index, drop_index, autocommit_block).
"""

from __future__ import annotations

import hashlib
import re

from rung.ports import AlembicProject, Index, IndexColumn, NamedIndex, Project, Revision, Statement, TextFile
from rung.steps.take.draft import Draft, Written, docstring_line, python_text
from rung.steps.take.sql import NO_PATIENCE, PATIENCE, key_of, validity_check

SLUG_MAX = 40  # as Alembic's own truncate_slug_length

REVISION = '''\
"""{what}

Revision ID: {name}
Revises: {revises}
"""

import sqlalchemy as sa
from alembic import op

revision = {name_literal}
down_revision = {down_literal}
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Indexes are built and dropped without blocking writers, which no transaction can do.
    with op.get_context().autocommit_block():
{upgrade}


def downgrade() -> None:
    with op.get_context().autocommit_block():
{downgrade}
'''


def write(draft: Draft, project: Project) -> Written | str:
    """
    Return *draft* as a revision on the project's head, or why it cannot be one.
    """
    if project.alembic is None:
        return "there is neither an alembic.ini nor a [tool.alembic] in pyproject.toml"
    if any(index.partitioned for index in draft.indexes):
        return "a partitioned table takes statements for each partition, which a revision would have to find first"
    name = hashlib.blake2b(draft.move.encode(), digest_size=6).hexdigest()
    ours = next((revision for revision in project.alembic.revisions if revision.name == name), None)
    if ours is None:
        found = _head(project.alembic)
        if isinstance(found, str):
            return found
        slug = re.sub(r"\W+", "_", draft.indexes[0].name if draft.indexes else draft.move)[:SLUG_MAX].strip("_")
        ours = Revision(f"{project.alembic.folder}/{name}_{slug}.py", name, (found.name,))
    # One that merges branches is not ours; written by hand, ours may be on several.
    down = python_text(ours.down[0]) if len(ours.down) == 1 else repr(ours.down or None)
    text = REVISION.format(
        what=docstring_line(draft.what),
        name=docstring_line(name),
        revises=docstring_line(", ".join(ours.down)),
        name_literal=python_text(name),
        down_literal=down,
        upgrade=_indented(_waiting(_forwards(draft), draft.timeout_s)),
        downgrade=_indented(_waiting(_backwards(draft), draft.timeout_s)),
    )
    return Written((TextFile(ours.path, text),), draft.work, _notes(draft), run="alembic upgrade head")


def _head(project: AlembicProject) -> Revision | str:
    if project.unreadable:
        return f"{project.unreadable[0]} names no revision that can be read without running it"
    below = {name for revision in project.revisions for name in revision.down}
    heads = [revision for revision in project.revisions if revision.name not in below]
    if not heads:
        return f"{project.folder} has no revision to build on"
    if len(heads) > 1:
        names = ", ".join(sorted(head.name for head in heads))
        return f"the Alembic project has {len(heads)} heads ({names}); after `alembic merge heads` take it again"
    return heads[0]


def _forwards(draft: Draft) -> list[str]:
    work = draft.work
    if work.builds:
        return [line for built in work.builds for line in _created(built)]
    return _dropped(work.rebuilds) if work.rebuilds is not None else [_executed(each) for each in work.statements]


def _backwards(draft: Draft) -> list[str]:
    work = draft.work
    if work.builds:
        return [line for built in reversed(work.builds) for line in _dropped(built)]
    checked = _checked(work.rebuilds) if work.rebuilds is not None else []
    return [*(_executed(each) for each in work.undo), *checked]


def _created(built: NamedIndex) -> list[str]:
    assert built.index is not None
    arguments = [python_text(built.name), python_text(built.table), f"[{', '.join(_keys(built.index))}]"]
    arguments += [f"schema={python_text(built.schema)}", *_options(built.index)]
    arguments += ["postgresql_concurrently=True", "if_not_exists=True"]
    return [_call("op.create_index", arguments), *_checked(built)]


def _dropped(built: NamedIndex) -> list[str]:
    arguments = [
        python_text(built.name), f"table_name={python_text(built.table)}", f"schema={python_text(built.schema)}",
        "postgresql_concurrently=True", "if_exists=True",
    ]  # fmt: skip
    return [_call("op.drop_index", arguments)]


def _checked(built: NamedIndex) -> list[str]:
    question = f"sa.text({python_text(_escaped(validity_check(built.schema, built.name)))})"
    told = f"{built.name} is invalid: an earlier build failed half-way. Drop it, then upgrade again."
    return [
        "if not op.get_context().as_sql:",
        f"    valid = op.get_bind().scalar({question})",
        "    if not valid:",
        f"        raise RuntimeError({python_text(told)})",
    ]


def _waiting(lines: list[str], timeout_s: int) -> list[str]:
    before = [_executed(Statement(each.format(timeout_s=timeout_s))) for each in PATIENCE]
    return [*before, *lines, *(_executed(Statement(each)) for each in NO_PATIENCE)]


def _executed(statement: Statement) -> str:
    return f"op.execute(sa.text({python_text(_escaped(statement.sql))}))"


def _keys(index: Index) -> list[str]:
    return [_key(column) for column in index.columns]


def _key(column: IndexColumn) -> str:
    # What postgresql_ops says of a key by its name only holds for one that is nothing but a name.
    if _is_name(column):
        return python_text(column.name)
    return f"sa.text({python_text(_escaped(key_of(column)))})"


def _is_name(column: IndexColumn) -> bool:
    return column == IndexColumn(column.name, opclass=column.opclass)


def _options(index: Index) -> list[str]:
    options = []
    classes = {column.name: column.opclass for column in index.columns if _is_name(column) and column.opclass}
    if classes:
        pairs = ", ".join(f"{python_text(name)}: {python_text(opclass)}" for name, opclass in classes.items())
        options.append(f"postgresql_ops={{{pairs}}}")
    if index.include:
        options.append(f"postgresql_include=[{', '.join(map(python_text, index.include))}]")
    if index.where:
        options.append(f"postgresql_where=sa.text({python_text(_escaped(index.where))})")
    return options


def _notes(draft: Draft) -> tuple[str, ...]:
    if not draft.work.builds:
        gone = draft.work.rebuilds
        return () if gone is None else (f"Take {gone.name} out of the table's model too, if it declares it.",)
    return tuple(_note(built) for built in draft.work.builds)


def _note(built: NamedIndex) -> str:
    assert built.index is not None
    line = ", ".join([python_text(built.name), *_keys(built.index), *_options(built.index)])
    beginning = f"Add it to __table_args__ of the model of {built.table}"
    return f"{beginning}, or the next `alembic revision --autogenerate` drops it: sa.Index({line})"


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _indented(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for each in lines for line in each.split("\n"))


def _escaped(text: str) -> str:
    """
    Return SQL as sqlalchemy.text takes it, to which `:name` is a parameter.
    """
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", text)

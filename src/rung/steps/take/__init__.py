"""
Turn a quote into a change: the statements, the files for the user's repository, and how to undo it.

In        a Quote with a plan, a setting, or a patch of the user's code; how the repository keeps its migrations
Out       a Change, a value; the same quote and repository give the same change
Not here  reading the repository (adapters/project.py), running or writing any of it (adapters/hands.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rung.config import ALEMBIC, AUTO, DJANGO, SQL, Settings
from rung.ports import NamedIndex, Project, Statement, TextFile, Work
from rung.steps.price.quote import BuildIndex, Quote
from rung.steps.take import alembic, django, sql
from rung.steps.take.draft import Draft, Written, file_stem
from rung.steps.take.sql import create_index, drop_index, identifier, index_name, literal
from rung.steps.twin.variant import Patch, Setting
from rung.units import show_seconds

__all__ = [
    "Change", "create_index", "drop_index", "file_stem", "identifier", "index_name", "literal", "named", "take",
]  # fmt: skip

FORMATS: Mapping[str, Callable[[Draft, Project], Written | str]] = {DJANGO: django.write, ALEMBIC: alembic.write}


@dataclass(frozen=True, slots=True)
class Change:
    """
    What taking a move does.

    Attributes:
        move: The quote's name.
        files: What is written into the user's repository, to be reviewed: a migration and its undo, or what to set.
        work: What rung can carry out itself; None for a setting, which people change.
        setting: What they set; None where there is something to run.
        notes: What is left for people to do or to know, a sentence each.
        run: What carries it out in the project's own way, "" where psql does.
        patch: What is changed in their code; None where that is nothing.
    """

    move: str
    files: tuple[TextFile, ...]
    work: Work | None = None
    setting: Setting | None = None
    notes: tuple[str, ...] = ()
    run: str = ""
    patch: Patch | None = None


NO_PROJECT = Project()


def take(quote: Quote, settings: Settings, project: Project = NO_PROJECT) -> Change:
    """
    Return the change that *quote* describes.

    Args:
        settings: Where files go and in which format, and how long a statement may wait for a lock.
        project: How the repository keeps its migrations.
    """
    assert quote.takeable, "doing nothing has no change"
    # A name may hold a line break, which would end a comment and begin a statement.
    what, folder = " ".join(quote.what.split()), settings.migrations_folder
    if quote.patch is not None:
        path = f"{folder}/{file_stem(quote.name)}.patch"
        text = _PATCH.format(name=quote.name, what=what, promise=_promise(quote), file=path)
        return Change(quote.name, (TextFile(path, text + quote.patch.diff),), patch=quote.patch)
    if quote.setting is not None:
        file = TextFile(f"{folder}/{file_stem(quote.name)}.txt", _setting_text(quote, quote.setting, what))
        return Change(quote.name, (file,), None, quote.setting)
    # A lock_timeout of 0 would mean to wait for ever.
    draft = Draft(quote.name, what, work_of(quote), folder, max(round(settings.index_lock_timeout_s), 1))
    notes = list(project.notes)
    for name in _formats(project, settings.migrations_format):
        written = FORMATS[name](draft, project)
        if isinstance(written, Written):
            break
        notes.append(f"Written as plain SQL: {written}.")
    else:
        written = _plain(draft)
    return Change(quote.name, written.files, written.work, None, (*notes, *written.notes), written.run)


def work_of(quote: Quote) -> Work:
    """
    Return what carrying out *quote* runs.
    """
    if quote.plan is not None:
        plans = quote.builds
        builds = tuple(_named_index(plan) for plan in plans)
        drops = tuple(drop_index(plan.index, plan.name, partitioned=plan.partitioned) for plan in plans)
        return Work(tuple(each for plan in plans for each in _creates(plan)), drops, builds)
    if (gone := quote.drop) is not None:
        # What PostgreSQL writes of a partitioned table's index would leave its partitions without.
        whole = Statement(gone.definition.replace(" ON ONLY ", " ON ", 1))
        again = whole if gone.partitioned else sql.concurrently(gone.definition)
        how = "" if gone.partitioned else "CONCURRENTLY "
        drop = Statement(f"DROP INDEX {how}IF EXISTS {identifier(gone.schema)}.{identifier(gone.name)}")
        built = NamedIndex(gone.schema, gone.table, gone.name, again, None, gone.partitioned)
        return Work((drop,), (again,), rebuilds=built)
    assert quote.script is not None
    return Work(tuple(map(Statement, quote.script.statements)), tuple(map(Statement, quote.script.undo)))


def _creates(plan: BuildIndex) -> tuple[Statement, ...]:
    first = (sql.create_on_only(plan.index, plan.name),) if plan.partitioned else ()
    return (*first, create_index(plan.index, plan.name))


def _named_index(plan: BuildIndex) -> NamedIndex:
    index = plan.index
    return NamedIndex(
        index.schema, index.table, plan.name, create_index(index, plan.name), index, partitioned=plan.partitioned
    )


def named(quote: Quote, work: Work | None) -> Quote:
    """
    Return *quote* with the names that its indexes were given when it was taken, so that the undo finds them.
    """
    if quote.plan is None or work is None:
        return quote
    plans = quote.builds
    first, *others = (replace(plan, name=built.name) for plan, built in zip(plans, work.builds, strict=True))
    return replace(quote, plan=first, beside=tuple(others))


def _formats(project: Project, migrations: str) -> tuple[str, ...]:
    if migrations == AUTO:
        return (DJANGO,) * project.django + (ALEMBIC,) * (project.alembic is not None)
    return () if migrations == SQL else (migrations,)


def _plain(draft: Draft) -> Written:
    stem, work = f"{draft.folder}/{file_stem(draft.move)}", draft.work
    if work.builds:
        pairs = zip(work.builds, work.undo, strict=True)
        written = [sql.migration_text(built, drop, draft.what, timeout_s=draft.timeout_s) for built, drop in pairs]
        texts = ("\n".join(text for text, _ in written), "\n".join(undo for _, undo in reversed(written)))
    else:
        undo = f"Undo of: {draft.what}"
        texts = (
            sql.script_text(work.statements, draft.what, timeout_s=draft.timeout_s),
            sql.script_text(work.undo, undo, timeout_s=draft.timeout_s),
        )
    notes: tuple[str, ...] = ()
    if work.rebuilds is not None and work.rebuilds.partitioned:
        notes = ("Writers wait while the undo's file builds the index again; rung take --undo builds it without.",)
    files = (TextFile(f"{stem}.sql", texts[0]), TextFile(f"{stem}.undo.sql", texts[1]))
    return Written(files if work.undo else files[:1], work, notes)


_PATCH = """\
{name}: {what}
A change of your app's code, to be reviewed: git apply {file}
Undo: git apply -R {file}
{promise}
"""

_SETTING = """\
{name}: {what}
A setting of your app's, so it is changed by you: in its code or configuration, or in the command that starts it.

Set     {then}
Undo    {now}

{promise}Assumed:
{assumptions}
"""


def _promise(quote: Quote) -> str:
    if quote.predicted is None:
        return ""
    low, high = show_seconds(quote.predicted.low), show_seconds(quote.predicted.high)
    return (
        f"Predicted for p{quote.percentile} of {quote.route}: {show_seconds(quote.now.value)} now, then "
        f"{show_seconds(quote.predicted.value)} ({low} to {high}).\n"
    )


def _setting_text(quote: Quote, setting: Setting, what: str) -> str:
    return _SETTING.format(
        name=quote.name,
        what=what,
        then=setting.then,
        now=setting.now,
        promise=_promise(quote),
        assumptions="\n".join(f"- {assumption}" for assumption in quote.assumptions),
    )

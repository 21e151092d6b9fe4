"""
Say what was done in words: a change, what became of it, the ledger and its score.

In        what take, confirm and the ledger returned
Out       text, a line for a terminal
Not here  what was found and what moves cost (text.py), JSON (document.py)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rung.ports import Applied
from rung.steps.confirm import MOVED, TOO_LITTLE, WORSE, Verdict
from rung.steps.confirm.use import use_words
from rung.steps.ledger import Entry
from rung.steps.price.quote import Record
from rung.steps.take import Change
from rung.steps.twin.variant import Patch
from rung.surfaces.text import labelled, range_text, table
from rung.units import show_bytes, show_count, show_seconds, show_share


def change_text(change: Change, applied: Applied | None) -> str:
    """
    Return what taking a move wrote, and how to go on.
    """
    files = labelled("Files", *(file.path for file in change.files))
    if change.patch is not None:
        return _patch_text(change, change.patch, files, applied)
    if change.work is None:
        assert change.setting is not None
        return "\n".join([
            labelled("Taken", f"{change.move}      (a setting: you change it, rung has nothing to run)"),
            files,
            labelled("Set", change.setting.then),
            labelled("Undo", change.setting.now),
            "",
            labelled("Next", "set it, restart the app, record the same load again, then: rung confirm"),
        ])  # fmt: skip
    lines = [
        labelled("Taken", change.move),
        files,
        labelled("Statement", *(statement.sql for statement in change.work.statements)),
        labelled("Undo", *([statement.sql for statement in change.work.undo] or ["there is nothing to take back"])),
        *([labelled("Note", *change.notes)] if change.notes else []),
        "",
    ]
    if applied is not None:
        lines.insert(1, labelled("Applied", *_applied_words(change, applied)))
        lines.append(labelled("Next", "record the same load again, then: rung confirm"))
    else:
        short = change.move.split(":")[0]
        way = change.run or "run the migration your own way"
        lines.append(labelled("Next", f"rung take {short} --apply      (or {way})"))
    return "\n".join(lines)


def _applied_words(change: Change, applied: Applied) -> tuple[str, ...]:
    assert change.work is not None
    faked: tuple[str, ...] = ()
    if change.run.startswith("python manage.py migrate"):
        # AddIndexConcurrently knows no IF NOT EXISTS.
        faked = (f"Here the migration is to be told so: {change.run} --fake",)
    if not change.work.builds:
        gone = change.work.rebuilds is not None
        if applied.already:
            return ("It was gone already; nothing was done.", *faked)
        freed = f", {show_bytes(applied.size_bytes)} freed" if gone else ""
        return (f"{'Dropped' if gone else 'Run'} in {show_seconds(applied.took_s)}{freed}.", *faked)
    if applied.already:
        return (f"It was there already ({show_bytes(applied.size_bytes)}); nothing was done.", *faked)
    return (f"Built in {show_seconds(applied.took_s)}, {show_bytes(applied.size_bytes)}, valid.", *faked)


def _patch_text(change: Change, patch: Patch, files: str, applied: Applied | None) -> str:
    lines = [labelled("Taken", change.move), files, "", patch.diff.rstrip("\n"), ""]
    following = "restart the app, record the same load again, then: rung confirm"
    if applied is None:
        following = f"rung take {change.move.split(':')[0]} --apply      (or git apply THE_FILE); then restart the app"
    else:
        done = "was changed so already; nothing was done." if applied.already else "is changed."
        lines.insert(1, labelled("Applied", f"{patch.path} {done}"))
    return "\n".join(
        [*lines, labelled("Undo", f"git apply -R {change.files[0].path}"), "", labelled("Next", following)]
    )


def undone_text(change: Change) -> str:
    """
    Return what an undo did, and of a setting what is left to do.
    """
    told = [labelled("Undone", change.move)]
    if change.work is not None:
        told.append(labelled("Ran", *(statement.sql for statement in change.work.undo)))
    if change.patch is not None:
        told.append(labelled("Took back", f"the patch of {change.patch.path}; restart the app"))
    if change.setting is not None:
        told = [
            labelled("Undone", f"{change.move}      (in the ledger; you set it back, rung has nothing to run)"),
            labelled("Set back", change.setting.now),
        ]
    return "\n".join([*told, "", labelled("Next", "rung ledger")])


def verdict_text(verdict: Verdict, *, move: str | None = None) -> str:
    """
    Return whether the number moved, predicted beside measured.

    Args:
        move: The move of the ledger that was asked for, None for the newest.
    """
    percent = verdict.percentile
    # Without a promise nothing of ours was taken, and there is nothing to undo.
    undo = f"rung take {f'{move!r} ' if move else ''}--undo" if verdict.predicted is not None else "rung find"
    lines = [
        labelled("Verdict", verdict.words),
        labelled("Route", verdict.route),
        labelled(
            "Measured",
            f"p{percent} {show_seconds(verdict.before.at_percentile_s)} → {show_seconds(verdict.after.at_percentile_s)}"
            f"  (n = {show_count(verdict.before.requests)} and {show_count(verdict.after.requests)})",
        ),
    ]
    if verdict.predicted_s is not None:
        lines.append(labelled("Predicted", range_text(verdict.predicted_s)))
    lines.append(
        labelled(
            "Overall", f"p{percent} {show_seconds(verdict.before.overall_s)} → {show_seconds(verdict.after.overall_s)}"
        )
    )
    if verdict.interleaved:
        how = f"same arrivals in turns, {verdict.blocks} pairs of blocks"
    elif verdict.paired:
        how = f"same arrivals, one after the other, {verdict.blocks} pairs of blocks"
    else:
        how = f"two windows, {verdict.blocks} pairs of blocks at the same rate"
    lines.append(labelled("Compared", f"{how}: {verdict.before.recording} and {verdict.after.recording}"))
    if verdict.used:
        lines.append(labelled("Index", *map(use_words, verdict.used)))
    if verdict.side_effects:
        lines.append(labelled("Beside it", *verdict.side_effects))
    following = {
        MOVED: "rung find      (on the new recording: the next bottleneck)",
        WORSE: f"{undo}      (it made things worse)",
        TOO_LITTLE: _longer(verdict),
    }.get(verdict.verdict, f"{undo}      (it costs, and brings nothing)")
    if any(used.there and not used.serves for used in verdict.used) and not verdict.worse:
        following = f"{undo}      (the index costs every write, and no plan uses it)"
    lines += ["", labelled("Next", following)]
    return "\n".join(lines)


def score_text(kinds: Mapping[str, Record], overall: Record | None) -> str:
    """
    Return how good the predictions were, by kind of move.
    """
    if overall is None:
        return "\n".join([labelled("Score", "nothing confirmed yet"), "", labelled("Next", "rung confirm")])
    rows = [("move", "confirmed", "predicted / measured", "quartiles", "within the 80 % interval", "95 % of that")]
    for record in (*kinds.values(), *([overall] if len(kinds) > 1 else [])):
        error, coverage = record.error, record.coverage
        rows.append((
            record.kind,
            str(record.confirmed),
            f"{error.value:.2f}",
            f"{error.low:.2f} to {error.high:.2f}",
            f"{record.held} of {record.confirmed} ({show_share(coverage.value)})",
            f"{show_share(coverage.low)} to {show_share(coverage.high)}",
        ))  # fmt: skip
    return "\n".join([table(rows), "", labelled("Next", "rung ledger")])


def _longer(verdict: Verdict) -> str:
    if not verdict.interleaved:
        return "send the same load for longer, before and after, then: rung confirm"
    needed = math.ceil(verdict.needed_s / 60) if verdict.needed_s is not None else 0
    return f"the same again{f' with --duration {needed}m' if needed else ''}"


def ledger_text(entries: Sequence[Entry], folder: str) -> str:
    """
    Return every rung climbed so far.
    """
    rows = [("no.", "move", "before", "predicted", "after", "verdict")]
    for entry in entries:
        quote, verdict = entry.quote, entry.verdict
        rows.append(
            (
                f"{entry.number:04}",
                quote.name,
                show_seconds(quote.now.value),
                range_text(quote.predicted) if quote.predicted is not None else "–",
                show_seconds(verdict.after.at_percentile_s) if verdict is not None else "–",
                entry.state.replace("_", " ")
                + (
                    f" ({1 / verdict.ratio.value:.1f}× faster)"
                    if verdict is not None and verdict.ratio is not None and entry.state == MOVED
                    else ""
                ),
            )
        )
    if len(rows) == 1:
        return "\n".join([labelled("Ledger", f"empty ({folder})"), "", labelled("Next", "rung find")])
    unconfirmed = any(entry.verdict is None or entry.verdict.verdict == TOO_LITTLE for entry in entries)
    following = "record the same load again, then: rung confirm" if unconfirmed else "rung find"
    return "\n".join([table(rows), "", labelled("Files", folder), labelled("Next", following)])

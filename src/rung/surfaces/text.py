"""
Put values into words for a terminal.

In        what the steps returned
Out       text, one paragraph a label, ending with the next command to type
Not here  working anything out (steps/), the ladder (ladder.py), what was done (done.py), JSON (document.py)
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Sequence

from rung.loop import Look
from rung.steps.find.finding import Exemplar, Finding, Interval, Span, Suspect
from rung.steps.find.headroom import headroom_words, now_words
from rung.steps.measure import OTHER
from rung.steps.price import best
from rung.steps.price.quote import REACHES, Quote
from rung.surfaces.terminal import width
from rung.units import show_count, show_seconds, show_share

LABEL_WIDTH = 12
BAR_WIDTH, BAR_WIDTH_MIN = 40, 10
BESIDE_BAR_WIDTH = 63  # the margin, what stands left of a bar, and the mark behind it
SPAN_WIDTH = 16
ROWS_SHOWN = 10
STATEMENT_WIDTH = 78


def labelled(label: str, *lines: str) -> str:
    """
    Return lines with a label before the first, wrapped behind it.

    >>> print(labelled("Next", "rung take index"))
    Next        rung take index
    """
    parts = [part for line in lines if line for part in wrapped(line, width() - LABEL_WIDTH)]
    margin = " " * LABEL_WIDTH
    return "\n".join((f"{label:<{LABEL_WIDTH}}" if not place else margin) + part for place, part in enumerate(parts))


def wrapped(line: str, columns: int) -> list[str]:
    """
    Return *line* in lines of at most so many columns, a figure and its unit kept together.

    >>> wrapped("falls by 12 %", 11)
    ['falls by', '12 %']
    """
    tied = re.sub(r"(?<=\d) (?=%|[mµ]?s\b|[kMG]?B\b|min\b)", "\N{NO-BREAK SPACE}", line)
    parts = textwrap.wrap(tied, columns, break_long_words=False, break_on_hyphens=False) or [""]
    return [part.replace("\N{NO-BREAK SPACE}", " ") for part in parts]


def short_statement(text: str) -> str:
    """
    Return a statement on one line: its list of columns left out, and names unqualified where one table is read.

    >>> short_statement("SELECT orders.id, orders.note FROM orders WHERE orders.id = $1")
    'SELECT … FROM orders WHERE id = $1'
    """
    line = re.sub(r"::[A-Za-z ]+?(?:\([0-9, ]+\))?(?=[\s,)]|$)", "", " ".join(text.split()))
    line = re.sub(r"^(SELECT(?: DISTINCT)?) .+? (FROM) ", r"\1 … \2 ", line, flags=re.IGNORECASE)
    tables = re.findall(r"\b(?:FROM|JOIN|UPDATE|INTO) \"?(\w+)\"?", line, flags=re.IGNORECASE)
    if len(tables) == 1:
        line = re.sub(rf'"?\b{tables[0]}"?\.(?=["\w])', "", line)
    if len(line) <= STATEMENT_WIDTH:
        return line
    # The end of a statement (its conditions) says more than its middle; cut between words.
    room = STATEMENT_WIDTH - 3
    begin = line[: room // 3].rsplit(" ", 1)[0]
    end = line[len(begin) - room :]
    return f"{begin} … {end.split(' ', 1)[-1]}"


def finding_text(look: Look) -> str:
    """
    Return ONE bottleneck with its evidence and the move to take, or "do nothing".
    """
    finding = look.finding
    parts = [head_text(finding), ""]
    if finding.bottleneck is None:
        parts += _nothing(finding)
        return "\n".join(parts)
    parts += [_bottleneck(finding.bottleneck, finding), _evidence(finding), *_runner_up(finding), ""]
    parts += [_waterfall(exemplar, finding) for exemplar in finding.exemplars]
    parts += ["", _move(look), ""]
    quote = best(look.quotes)
    ladder = "rung price      (the whole ladder: what each move would bring)"
    if quote is not None and quote.takeable:
        following = [f"rung take {short_name(quote, look.quotes)}      (rung price shows the whole ladder)"]
    elif unasked(finding) and "lock" not in _seen(finding):
        following = ["rung find --database postgresql://you@localhost/yourdb", ladder]
    else:
        following = [f"change it, record again, then: rung confirm {finding.recording} THE_NEW_ONE", ladder]
    return "\n".join([*parts, labelled("Next", *following)])


def short_name(quote: Quote, quotes: Sequence[Quote]) -> str:
    """
    Return what to type for *quote*: its kind where it is the only one of it that can be taken.
    """
    alone = sum(each.takeable and each.kind == quote.kind for each in quotes) == 1
    return quote.kind if alone else shlex.quote(quote.name)


def unasked(finding: Finding) -> bool:
    """
    Return whether the bottleneck is the database's, and no database was there to be asked about it.
    """
    return finding.bottleneck is not None and bool(finding.bottleneck.statement) and not finding.server


def head_text(finding: Finding) -> str:
    """
    Return what was recorded, with what must be kept in mind, and the goal with its number.
    """
    goal = finding.goal
    instances = f"{finding.processes} process" + ("es" if finding.processes > 1 else "")
    facts = [
        show_seconds(finding.lasted_s),
        f"{show_count(sum(number.all_traffic.requests for number in finding.routes))} requests",
        instances,
        _kept(finding),
        f"PostgreSQL {finding.server}" if finding.server else "",
        finding.recording,
    ]
    lines = [labelled("Recorded", " · ".join(fact for fact in facts if fact))]
    lines += [labelled("", note) for note in finding.notes]
    number = show_seconds(finding.now.value)
    lines.append(
        labelled(
            "Goal",
            f"p{goal.percentile} ≤ {show_seconds(goal.target_s)} on each route"
            + ("" if goal.given else " (rung's default; yours goes into rung.toml)")
            + "; the slowest is",
            f"{finding.route} with {number} (all requests together: {show_seconds(finding.overall_s)})",
            _counted(finding),
        )
    )
    return "\n".join(lines)


def _kept(finding: Finding) -> str:
    """
    Return what share of the requests was kept whole; nothing where some are missing, which is a note of its own.
    """
    if finding.requests < sum(number.all_traffic.requests for number in finding.routes):
        return f"kept {show_share(finding.kept_share)} (windows)"
    if finding.facts.foreign is not None:
        return ""
    return "" if finding.facts.dropped or not finding.facts.sealed else "all kept"


def _counted(finding: Finding) -> str:
    """
    Return what all traffic of the goal's route shows, where the goal's number is that of windows of time.
    """
    for number in finding.routes:
        of_all = number.all_traffic
        if number.route == finding.route and of_all.requests > number.requests:
            return (
                f"counted outside of the windows too, from the app's entry: {show_count(of_all.requests)} requests, "
                f"p50 {show_seconds(of_all.p50_s)}, p95 {show_seconds(of_all.p95_s)}, "
                f"p99 {show_seconds(of_all.p99_s)}, {show_share(of_all.failed_share)} failed"
            )
    return ""


def _nothing(finding: Finding) -> list[str]:
    goal = finding.goal
    return [
        labelled(
            "Do nothing",
            f"The goal holds: no route's p{goal.percentile} is above {show_seconds(goal.target_s)}.",
            headroom_words(finding.simulated, goal)
            if finding.simulated.headroom is not None
            else f"How much more traffic it would bear (the goal asks {goal.headroom:g}×) is not known.",
            *(finding.simulated.notes if finding.simulated.headroom is not None else ()),
        ),
        "",
        labelled("Next", "nothing now; when the traffic has grown: rung record -- uvicorn yourapp:app"),
        labelled("", "(a stricter goal for this recording: rung find --latency 100ms)"),
    ]


def _bottleneck(suspect: Suspect, finding: Finding) -> str:
    what = _name(suspect, finding)
    where = " · ".join(part for part in (suspect.route, suspect.code) if part)
    return labelled(
        "Bottleneck",
        what,
        where,
        now_words(finding.simulated, finding.goal) if finding.simulated.speed != 1.0 else "",
        *_without(suspect, finding),
    )


def _without(suspect: Suspect, finding: Finding) -> tuple[str, ...]:
    if suspect.bears_per_s is not None:
        return (f"If it cost nothing, the app would bear {show_count(suspect.bears_per_s)} requests/s.",)
    now, then = show_seconds(finding.simulated.at_speed_s), range_text(suspect.without_s)
    return (
        f"If it cost nothing, p{finding.goal.percentile} would fall from {now} to {then}.",
        f"The same answer in {show_share(suspect.stability)} of the resamples of this recording.",
    )


def _name(suspect: Suspect, finding: Finding) -> str:
    part = suspect.part
    if suspect.statement:
        return f"{part.seam}  {short_statement(suspect.statement)}  [{part.name[:8]}]"
    if finding.facts.foreign is not None and part == OTHER:
        return f"{part.seam}  the app's own time: computing, or waiting for what has no span"
    return f"{part.seam}  {SEAM_WORDS.get(part.seam, '')}{f' ({part.name})' if part.name else ''}".rstrip()


SEAM_WORDS = {
    "queue": "waiting until the app took the request",
    "cpu": "Python working",
    "loop": "waiting while others hold the event loop",
    "threads": "waiting for a worker thread",
    "pool": "waiting for a database connection",
    "connect": "opening a database connection",
    "query": "the database executing",
    "lock": "waiting for a lock in the database",
    "commit": "committing a transaction",
    "cache": "waiting for the cache",
    "external": "waiting for another service",
    "file": "reading or writing files",
    "job": "handing over a job",
    "other": "what no instrument sees",
}


def _evidence(finding: Finding) -> str:
    lines = [evidence.text[:1].upper() + evidence.text[1:] for evidence in finding.evidence]
    return labelled("Evidence", *lines)


def _runner_up(finding: Finding) -> list[str]:
    if finding.runner_up is None:
        return []
    return [labelled("Runner-up", _name(finding.runner_up, finding), finding.runner_up.why_not)]


def _waterfall(exemplar: Exemplar, finding: Finding) -> str:
    """
    Return one request on its own time axis, a row for each thing it spent time on.
    """
    total_s = max(exemplar.latency_s, 1e-9)
    columns = max(BAR_WIDTH_MIN, min(BAR_WIDTH, width() - BESIDE_BAR_WIDTH))
    marked = finding.bottleneck.part if finding.bottleneck is not None else None
    rows: dict[tuple[str, str], list[Span]] = {}
    for span in exemplar.spans:
        rows.setdefault((span.seam, span.name), []).append(span)
    largest = sorted(rows, key=lambda key: -sum(span.duration_s for span in rows[key]))[:ROWS_SHOWN]
    lines = [f"{exemplar.route} at {show_seconds(exemplar.at_s)}, {show_seconds(exemplar.latency_s)}:"]
    for key in (key for key in rows if key in largest):
        spans = rows[key]
        cells = [" "] * columns
        for span in spans:
            begin = min(int(span.start_s / total_s * columns), columns - 1)
            end = min(max(round((span.start_s + span.duration_s) / total_s * columns), begin + 1), columns)
            cells[begin:end] = "█" * (end - begin)
        seam, name = key
        label = f"{seam} {name[:8] if seam in ('query', 'commit') else name}".strip()
        label = label if len(label) <= SPAN_WIDTH else f"{label[: SPAN_WIDTH - 1]}…"
        calls = sum(span.calls for span in spans)
        times = f"×{calls}" if calls > 1 else ""
        mark = "  ◂ the bottleneck" if marked is not None and key == (marked.seam, marked.name) else ""
        duration = show_seconds(sum(span.duration_s for span in spans))
        lines.append(f"{label:<{SPAN_WIDTH}} {times:>4} {duration:>8} │{''.join(cells)}│{mark}")
    if len(rows) > len(largest):
        rest_s = sum(span.duration_s for key in rows if key not in largest for span in rows[key])
        lines.append(f"… and {len(rows) - len(largest)} more, {show_seconds(rest_s)} together")
    margin = " " * LABEL_WIDTH
    return "\n".join(
        (f"{'Request':<{LABEL_WIDTH}}" if not place else margin) + line for place, line in enumerate(lines)
    )


def _move(look: Look) -> str:
    quote, finding = best(look.quotes), look.finding
    if quote is None:
        if unasked(finding) and "lock" not in _seen(finding):
            why = "Not known yet: whether an index would help takes the database's own plans, and none was asked."
            return labelled("Move", why)
        why = "No move brings this down (rung price says why of each)."
        if not finding.simulated.trusted:
            why = "No move could be priced: the simulation does not reproduce this recording."
        return labelled("Move", why, _by_hand(finding))
    if quote.predicted is None:
        why = quote.reason if finding.simulated.trusted else "the simulation does not reproduce this recording"
        told = f"{quote.what}      no price: {why}"
        return labelled("Move", told, cost_of(quote), f"Assumes: {'; '.join(quote.assumptions)}.")
    return labelled(
        "Move",
        f"{quote.what}      p{quote.percentile} predicted {range_text(quote.predicted)}",
        " · ".join(part for part in (cost_of(quote), verdict_of(quote)) if part),
        _matters(quote),
        "" if quote.takeable and quote.verdict == REACHES else _by_hand(finding),
        f"Assumes: {'; '.join(quote.assumptions)}.",
    )


def _matters(quote: Quote) -> str:
    """
    Return by how much what is asked one by one counts at the recorded load; of other moves their price says it.
    """
    if quote.kind != "nplusone" or quote.ratio is None:
        return ""
    share = show_share(max(1 - quote.ratio.value, 0.0))
    return f"It matters at this load: {share} of the p{quote.percentile} of {quote.route} goes away with it."


TAKEN_AS = {"migration": "a migration", "setting": "a setting", "patch": "a patch", "hand": "by hand"}


def cost_of(quote: Quote) -> str:
    """
    Return what a move costs and how it is taken.
    """
    return " · ".join(
        part for part in (quote.cost if quote.cost != "–" else "", TAKEN_AS.get(quote.taken_as, "")) if part
    )


def verdict_of(quote: Quote) -> str:
    """
    Return what a move would bring against the goal, and why.
    """
    return quote.verdict + (f": {quote.reason}" if quote.reason else "")


def _seen(finding: Finding) -> set[str]:
    return {evidence.what for evidence in finding.evidence}


def _by_hand(finding: Finding) -> str:
    """
    Return what a person can do.
    """
    assert finding.bottleneck is not None
    seen = _seen(finding)
    part, code = finding.bottleneck.part, finding.bottleneck.code
    calls = max((evidence.figures.get("calls_per_request", 0.0) for evidence in finding.evidence), default=0.0)
    hint = BY_HAND.get(part.seam, "look at it in the requests above.")
    if part == OTHER and finding.facts.foreign is not None:
        hint = "record it with rung record, which tells computing from waiting; or give it spans."
    if "computing" in seen:
        hint = "do less there, or keep the result: most of the computing is in that place."
    elif "lock" in seen:
        hint = "shorter transactions around what is in the way, above; a faster statement would still wait."
    elif part.seam == "query" and calls >= CALLS_MANY:
        hint = "ask for all of them in one statement: WHERE … = ANY($1), a join, or the ORM's eager loading."
    elif part.seam == "query" and finding.bottleneck.statement:
        hint = f"{hint} Where its time goes: rung explain {part.name[:8]}"
    return f"By hand{f', at {code}' if code else ''}: {hint}"


CALLS_MANY = 3.0
BY_HAND = {
    "queue": "one more worker process, if the processor has room.",
    "cpu": "find the function that is busy with a profiler (py-spy top --pid PID).",
    "loop": "move that computing into a thread (asyncio.to_thread), or split it up.",
    "threads": "more threads, or work that does not need one.",
    "pool": "give connections back sooner, before slow work that needs none; then a larger pool.",
    "connect": "keep connections open: a pool of the size that is used.",
    "query": "a statement that reads less, a summary kept beside it, or fewer calls of it.",
    "commit": "fewer transactions a request; look at the database's disk.",
    "cache": "fewer round trips a request: ask for several keys at once.",
    "external": "answer first, and leave this to a job or a background task.",
    "file": "answer first, or keep the content in memory.",
    "other": "see docs/limits.md for what is not recorded.",
}


def range_text(interval: Interval) -> str:
    """
    Return a time with its interval.
    """
    return f"{show_seconds(interval.value)} ({show_seconds(interval.low)} to {show_seconds(interval.high)})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """
    Return rows as columns, each as wide as its widest cell.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )

"""
Say what a reader must keep in mind about a recording, and why its numbers may not be trusted at all.

In        the Profile, the Goal, what each route shows
Out       sentences, none where all is well
Not here  why a finding should be believed (evidence.py, seen.py), layout (surfaces/text.py)
"""

from __future__ import annotations

from rung.known import untested
from rung.ports import RecordingFacts
from rung.steps.find.finding import Goal, RouteNumber, requests_min
from rung.steps.find.foreign import notes_on_foreign
from rung.steps.find.seen import shown, whose
from rung.steps.measure import FAILED, Profile
from rung.steps.measure.beside import Machine, Unfinished
from rung.units import show_bytes, show_count, show_seconds, show_share

OTHER_SHARE_TOLD = 0.10
DROPPED_SHARE_TRUSTED = 0.01
# DESIGN: above these the twin's hosts are not those that the recording shows.
TAKEN_SHARE_TRUSTED = 0.20
STEAL_SHARE_TRUSTED = 0.03
LOOKED_S_MIN = 5.0
PLACES_TOLD = 2
IDLE_S_TOLD = 5.0  # seen for as long; what is shorter is an app at work between two statements
SPILLED_BYTES_TOLD = 256 * 1024**2
# What was given up, mildest first (probe/guard.py).
SHED = ("digests", "stacks", "segments", "everything")


def doubts_on(profile: Profile) -> tuple[str, ...]:
    """
    Return why the numbers of this recording are not to be trusted.
    """
    doubts = [doubt for machine in profile.beside.machines for doubt in _crowded(machine)]
    dropped = profile.facts.dropped
    if dropped > DROPPED_SHARE_TRUSTED * (dropped + profile.requests_all):
        doubts.append("too many requests are missing")
    return tuple(doubts)


def _crowded(machine: Machine) -> list[str]:
    if machine.looked_s < LOOKED_S_MIN:
        return []
    told = []
    if machine.load_share > TAKEN_SHARE_TRUSTED:
        told.append(f"sending the load took {show_share(machine.load_share)} of {machine.host}'s processor")
    if machine.collector_share > TAKEN_SHARE_TRUSTED:
        told.append(f"the recorder took {show_share(machine.collector_share)} of {machine.host}'s processor")
    if machine.steal_share > STEAL_SHARE_TRUSTED:
        told.append(f"other machines took {show_share(machine.steal_share)} of {machine.host}'s processor (steal)")
    return told


def notes_on(profile: Profile, goal: Goal, routes: tuple[RouteNumber, ...]) -> tuple[str, ...]:
    """
    Return what a reader must keep in mind about this recording.
    """
    notes = []
    doubts = doubts_on(profile)
    if doubts:
        notes.append(f"These numbers are not to be trusted: {'; '.join(doubts)}.")
    foreign = profile.facts.foreign
    if foreign is not None:
        notes += notes_on_foreign(profile, foreign)
    other = float(profile.requests.other_s.sum() / max(profile.requests.latency_s.sum(), 1e-9))
    if other > OTHER_SHARE_TOLD and foreign is None:
        notes.append(
            f"{show_share(other)} of all time is seen by no instrument: "
            "waiting on something rung does not know, or code in threads of the app's own."
        )
    if not profile.queue_known and foreign is None:
        notes.append(
            "Latency starts when the app took the request; what came before is not known (no X-Request-Start)."
        )
    rare = [number for number in routes if not number.judged and number.at_percentile_s > goal.target_s]
    if rare:
        names = ", ".join(f"{number.route} ({show_count(number.all_traffic.requests)})" for number in rare[:3])
        least = requests_min(goal.percentile)
        kept = "" if len(profile.counted.route) == 0 else " kept whole"
        notes.append(
            f"Above the goal, but with too few requests{kept} to be judged (fewer than {least}, or 1 %): {names}."
        )
    notes += _of_the_recorder(profile.facts, profile.requests_all)
    notes += _of_many_hosts(profile.facts)
    notes += _unfinished(profile.beside.unfinished)
    notes += _idle(profile)
    notes += _spilled(profile)
    failed = failed_share(profile)
    if failed > goal.errors_share:
        notes.append(f"{show_share(failed)} of the requests failed; the goal allows {show_share(goal.errors_share)}.")
    return tuple(notes)


def failed_share(profile: Profile) -> float:
    """
    Return the share of all requests, kept whole or counted, that failed.
    """
    failed = int((profile.requests.status >= FAILED).sum() + profile.counted.failed.sum())
    return failed / profile.requests_all


def kept_share(profile: Profile) -> float:
    """
    Return the share of all requests, the dropped ones included, that was kept whole.
    """
    return len(profile.requests) / (profile.facts.dropped + profile.requests_all)


def _of_the_recorder(facts: RecordingFacts, counted: int) -> list[str]:
    """
    Return what the recorder did not manage.
    """
    notes = []
    if facts.dropped:
        share = facts.dropped / (facts.dropped + counted)
        why = "the recorder had switched itself off" if _gave_up(facts) == SHED[-1] else "a buffer was full"
        notes.append(
            f"{_times(facts.dropped, 'request')} ({show_share(share)}) dropped and missing here: {why}, "
            "or what was sent was not taken."
        )
    if facts.shed:
        worst = max(facts.shed, key=lambda said: [what in said for what in reversed(SHED)])
        notes.append(f"The recorder {worst}.")
    if facts.failures:
        place = f", most often {facts.failed_at[0][0]}" if facts.failed_at else ""
        notes.append(
            f"{_times(facts.failures, 'error')} inside the recorder{place}; the app was not touched by "
            f"{'them' if facts.failures > 1 else 'it'}."
        )
    strange = untested(dict(facts.libraries))
    if strange:
        notes.append(f"rung was not tested with {', '.join(strange)}: some of it may be missing here.")
    if facts.websockets:
        notes.append(f"{_times(facts.websockets, 'WebSocket')} passed on, not recorded.")
    if not facts.sealed:
        notes.append("Not sealed: still running, recorder killed, or disk full. What was written until now is read.")
    return notes


def _of_many_hosts(facts: RecordingFacts) -> list[str]:
    """
    Return what differs between the hosts of a fleet: their clocks, where more than looking at them can be wrong by.
    """
    notes = []
    clocks = sorted(facts.clocks, key=lambda clock: clock[1])
    if len(clocks) > 1 and clocks[-1][1] - clocks[0][1] > clocks[-1][2] + clocks[0][2]:
        told = [
            f"{host}'s is {show_seconds(abs(offset_s))} (± {show_seconds(uncertainty_s)}) "
            f"{'behind' if offset_s > 0 else 'ahead'}"
            for host, offset_s, uncertainty_s in (clocks[-1], clocks[0])
        ]
        notes.append(
            f"Clocks differ: against the database's, {' and '.join(told)}. "
            "Moments of different hosts are as these told them."
        )
    if facts.namesakes:
        shown_names = ", ".join(facts.namesakes[:PLACES_TOLD])
        more = f" and {len(facts.namesakes) - PLACES_TOLD} more" if len(facts.namesakes) > PLACES_TOLD else ""
        notes.append(
            f"Not counted is what was seen of {shown_names}{more}: another server of the same address was looked at "
            "meanwhile."
        )
    return notes


def _gave_up(facts: RecordingFacts) -> str:
    return next((what for what in reversed(SHED) if any(f"sheds {what}" in said for said in facts.shed)), "")


def _unfinished(unfinished: tuple[Unfinished, ...]) -> list[str]:
    """
    Return where requests waited that had not ended at the end.
    """
    if not unfinished:
        return []
    places = []
    for each in unfinished[:PLACES_TOLD]:
        at = f" at {each.code}" if each.code else ""
        within = f" in {each.function}" if each.function else ""
        several = f"{show_count(each.requests)} × " if each.requests > 1 and len(unfinished) > 1 else ""
        places.append(f"{several}{each.route}{at}{within}, {show_seconds(each.longest_s)} old")
    more = sum(each.requests for each in unfinished[PLACES_TOLD:])
    rest = f"; and {show_count(more)} more" if more else ""
    count = sum(each.requests for each in unfinished)
    return [f"{_times(count, 'request')} had not ended at the end: {'; '.join(places)}{rest}."]


def _idle(profile: Profile) -> list[str]:
    """
    Return the transactions that stayed open and idle for long: they keep their locks, and vacuum from its work.
    """
    long = [each for each in profile.beside.idle if each.longest_s >= IDLE_S_TOLD]
    if not long:
        return []
    worst = long[0]
    after = f" after {shown(worst.text)}" if worst.text else ""
    count = sum(each.transactions for each in long)
    begin = "A transaction was" if count == 1 else f"{show_count(count)} transactions were"
    note = f"{begin} open and idle for up to {show_seconds(worst.longest_s)} or more{after}"
    return [f"{note}{whose(profile, worst.statement, worst.application)}: locks are kept as long, and vacuum waits."]


def _spilled(profile: Profile) -> list[str]:
    """
    Return the statement that wrote most to temporary files.
    """
    counted = [each for each in profile.beside.executions if each.statement and each.temporary_bytes]
    worst = max(counted, key=lambda each: each.temporary_bytes, default=None)
    if worst is None or worst.temporary_bytes < SPILLED_BYTES_TOLD:
        return []
    text = profile.texts.get(worst.statement)
    who = f"{shown(text.text) if text is not None else 'a statement'}  [{worst.statement[:8]}]"
    each = f"{show_bytes(worst.temporary_bytes / worst.calls)} an execution"
    written = f"{show_bytes(worst.temporary_bytes)} of temporary files were written by {who}, {each}"
    return [f"{written}: it sorts or hashes more than work_mem holds."]


def _times(count: int, what: str) -> str:
    return f"{show_count(count)} {what}{'s' if count > 1 else ''}"

"""
Tell which pieces ask a database for nothing: what such a one takes beyond the usual, it waited for.

BEGIN, SET, what a driver sends when it takes a connection back, and the end of a transaction that wrote nothing are a
round trip each.  When one takes ten times as long, its process, its core or its interpreter was somebody else's, and
that is no service of the database's.

In        a Profile, its Pieces, its transactions
Out       of each piece its own time, that of trivial ones without what they waited
Not here  what others computed meanwhile (turns.py), cores that were shared (service.py)
"""

from __future__ import annotations

import numpy as np

from rung.steps.measure import Floats, Integers, Profile
from rung.steps.twin.holding import held_at
from rung.steps.twin.pieces import ENDS, Flags, Pieces

TYPICAL_MIN = 10  # of a kind; with fewer nobody knows what is usual
STARTS = (
    *ENDS, "BEGIN", "START TRANSACTION", "SAVEPOINT", "RELEASE", "SHOW ", "SET ", "RESET ", "DISCARD ", "CLOSE ",
    "UNLISTEN ", "DEALLOCATE ", "SELECT PG_ADVISORY_UNLOCK_ALL()",
)  # fmt: skip


def is_trivial(text: str) -> bool:
    """
    Return whether a statement, or each of several, asks for nothing that takes time; a COMMIT may, after writing.

    >>> is_trivial("BEGIN ISOLATION LEVEL SERIALIZABLE"), is_trivial("RESET ALL; SELECT 1 FROM t"), is_trivial("")
    (True, False, False)
    """
    asked = [piece.strip().upper() + " " for piece in text.split(";") if piece.strip()]
    return bool(asked) and all(piece.startswith(STARTS) for piece in asked)


def without_waiting(profile: Profile, pieces: Pieces, number: Integers) -> Floats:
    """
    Return each piece's own time; trivial ones no more than they do where no other request is about.

    The longest of those that had company is taken for the longest of those that had none, and so on down: what a
    machine takes its time for without any company stays.

    Args:
        number: Of each piece the transaction that it is in, -1 for none.
    """
    part, own_s = profile.segments.part, pieces.own_s.copy()
    if not len(part):
        return own_s
    trivial = (
        np.array([is_trivial(profile.text_of(each)) for each in profile.parts], dtype=np.bool_)[part] & pieces.query
    )
    trivial |= pieces.ends & ~_wrote(profile, pieces, number)
    requests = profile.requests
    ended_s = requests.arrived_s + requests.latency_s - requests.queue_s
    company = held_at(requests.arrived_s, ended_s, pieces.start_s) > 1
    come_s = np.sort(requests.arrived_s)
    company |= np.searchsorted(come_s, pieces.end_s) > np.searchsorted(come_s, pieces.start_s)
    for place in np.unique(part[trivial]):
        ours = np.flatnonzero(trivial & (part == place))
        met, alone_s = ours[company[ours]], own_s[ours[~company[ours]]]
        if len(alone_s) < TYPICAL_MIN:
            continue
        rank = np.argsort(np.argsort(own_s[met], kind="stable"), kind="stable")
        own_s[met] = np.minimum(own_s[met], np.quantile(alone_s, (rank + 0.5) / max(len(met), 1)))
    return own_s


def _wrote(profile: Profile, pieces: Pieces, number: Integers) -> Flags:
    """
    Return of each piece whether anything was written in its transaction; where that is not known, it was.
    """
    reads = np.array(
        [
            each.name in profile.texts
            and (profile.texts[each.name].kind == "read" or is_trivial(profile.text_of(each)))
            for each in profile.parts
        ],
        dtype=np.bool_,
    )[profile.segments.part]
    writes = pieces.query & ~reads & (number >= 0)
    wrote = np.bincount(number[writes], minlength=int(number.max(initial=-1)) + 1) > 0
    known: Flags = np.where(number >= 0, wrote[number], True) if len(wrote) else np.ones(len(number), np.bool_)
    return known

"""
Write what a request did side by side (gather, task groups) as strands that are joined again.

In        the pieces of one request that overlap
Out       its steps: a FORK of as many strands as there were things at once, each in its own order
Not here  requests that did one thing after the other (recover.py)

Which task did what is not recorded.  Things that do not overlap may have been done by one; as few strands as possible
are made of them, each going on with what began soonest after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rung.steps.twin.workload import Op, Step

SOONEST_S = 2e-6  # as measure rounds


@dataclass(frozen=True, slots=True)
class Piece:
    """
    One thing that a request did: from when to when, its steps, and whether it needs a connection.
    """

    start_s: float
    end_s: float
    steps: tuple[Step, ...]
    connected: bool


def joined_steps(
    pieces: Sequence[Piece],
    waits: Sequence[tuple[float, float]],
    *,
    pool: int,
    other: int,
    gaps: Sequence[Sequence[Step]],
) -> list[Step]:
    """
    Return the steps of *pieces*, which are in order of start.

    Args:
        waits: Begin and end of what the request waited for; it is no delay.
        pool, other: The parts that connections and delays are told of.
        gaps: What is done before each piece, by whoever does it.
    """
    groups: list[list[int]] = []
    reached_s = float("-inf")
    for number, piece in enumerate(pieces):
        if groups and piece.start_s < reached_s - SOONEST_S:
            groups[-1].append(number)
        else:
            groups.append([number])
        reached_s = max(reached_s, piece.end_s)
    alone = [group[0] for group in groups if len(group) == 1 and pieces[group[0]].connected]
    steps: list[Step] = []
    held = False
    for group in groups:
        steps += gaps[group[0]]
        first = group[0]
        if len(group) == 1:
            if alone and first == alone[0]:
                steps.append((Op.TAKE, pool, 0.0, 0))
                held = True
            steps += pieces[first].steps
            if alone and first == alone[-1]:
                steps.append((Op.GIVE, pool, 0.0, 0))
                held = False
            continue
        tracks = _tracks(pieces, group)
        steps.append((Op.FORK, other, 0.0, len(tracks)))
        for track in tracks:
            steps += _track(pieces, track, waits, pieces[first].start_s, pool if not held else -1, other)
            steps.append((Op.JOIN, other, 0.0, 0))
    return steps


def _tracks(pieces: Sequence[Piece], group: Sequence[int]) -> list[list[int]]:
    tracks: list[list[int]] = []
    for number in group:
        start_s = pieces[number].start_s
        free = [track for track in tracks if pieces[track[-1]].end_s <= start_s + SOONEST_S]
        if free:
            max(free, key=lambda track: pieces[track[-1]].end_s).append(number)
        else:
            tracks.append([number])
    return tracks


def _track(
    pieces: Sequence[Piece],
    track: Sequence[int],
    waits: Sequence[tuple[float, float]],
    since_s: float,
    pool: int,
    other: int,
) -> list[Step]:
    connected = [number for number in track if pieces[number].connected]
    steps: list[Step] = []
    for number in track:
        piece = pieces[number]
        between_s = piece.start_s - since_s
        between_s -= sum(max(min(end_s, piece.start_s) - max(start_s, since_s), 0.0) for start_s, end_s in waits)
        if between_s > SOONEST_S:
            steps.append((Op.DELAY, other, between_s, 0))
        since_s = piece.end_s
        if pool >= 0 and connected and number == connected[0]:
            steps.append((Op.TAKE, pool, 0.0, 0))
        steps += piece.steps
        if pool >= 0 and connected and number == connected[-1]:
            steps.append((Op.GIVE, pool, 0.0, 0))
    return steps

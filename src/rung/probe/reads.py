"""
Which reads were of the same thing, and whether it had changed: digests of what was asked and what came back.

From them follows for any time to live how often a cache would have hit, and how often it would have been stale.
They are sampled by key and not by time (SHARDS, Waldspurger et al., FAST 2015): all reads of some keys, for all
time.  A key's depth says in how small a sample it still is (the share 1/2 for 1, 1/4 for 2 and so on), so that
processes that keep different shares can be read together, at the smallest.

In        the parameters and the result of a finished read; path, query and body of a response
Out       rows for core.Request.reads, in the order of frames.Read
Not here  keyed hashing (digest.py), how deep the sample is at the moment (keeping.py)

A result that was not read whole by one call has no digest, nor has one of more than CELLS_MAX cells or with a type
that msgpack has no form for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zlib import crc32

from rung.probe import core, digest

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    from typing import Any, TypeAlias

# How to tell the parameters of a call, from its positional and keyword arguments; and the rows (of equal length, or all
# cells as one) of its result, None where they were not read whole.  Apart, for most keys are not in the sample, and
# then no row is looked at.
Reading: TypeAlias = (
    "tuple[Callable[[tuple[Any, ...], Mapping[str, Any]], Any], Callable[[Any], list[tuple[Any, ...]] | None]]"
)

CELLS_MAX = 1_000
BODY_BYTES_MAX = 1_048_576
READS_MAX = 500  # of one request
NOTHING = 0  # the digest of a result without rows
DEPTH_MAX = 20
OFF = DEPTH_MAX + 1

_salt = digest.of_bytes(b"depth") & 0xFFFFFFFF
# msgspec's, once the sender's thread has imported it; without it nothing is digested.
encode: Callable[[Any], bytes] | None = None


def of_statement(
    request: core.Request,
    segment: int,
    name: str,
    parameters: Any,
    rows_of: Callable[[Any], list[tuple[Any, ...]] | None],
    result: Any,
) -> None:
    """
    Keep the digests of a statement's parameters and of the rows of its result, if its key is in the sample.
    """
    if encode is None or len(request.reads) >= READS_MAX:
        return
    try:
        packed = encode((name, parameters))
        depth = _depth(packed)
        if depth < core.state.depth:
            return
        rows = rows_of(result)
        cells = len(rows) * len(rows[0]) if rows else 0
        given = None
        if rows is not None and cells <= CELLS_MAX:
            given = digest.of_bytes(encode(rows)) if rows else NOTHING
    except TypeError:  # a type of the app's own, or of the driver's
        return
    _keep(request, (segment, digest.of_bytes(packed), depth, given, cells if rows is not None else None))


def of_response(request: core.Request, asked: bytes, body: bytes) -> None:
    """
    Keep the digests of a whole response to GET, if *asked* (path and query) is in the sample.
    """
    depth = _depth(asked)
    if depth >= core.state.depth and len(body) <= BODY_BYTES_MAX:
        _keep(request, (None, digest.of_bytes(asked), depth, digest.of_bytes(body), None))


def _keep(request: core.Request, read: tuple[Any, ...]) -> None:
    if request.reads:
        request.reads.append(read)  # type: ignore[attr-defined]
    else:
        request.reads = [read]


def _depth(packed: bytes) -> int:
    drawn = crc32(packed, _salt)
    return min((drawn & -drawn).bit_length() - 1, DEPTH_MAX) if drawn else DEPTH_MAX

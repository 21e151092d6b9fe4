"""
The ids of traces and spans, and the header that carries them from one service to the next.

A process draws 64 random bits when it starts; every id of a request or segment of its own is worked out from these, so
that recording one costs nothing and who reads the recording knows the same ids as the app.

In        the key of a process, serials of its requests and segments; the header `traceparent`
Out       ids, numbers of 128 and 64 bits, or as the header has them
Not here  which traces are kept and exported (adapters/collector), the header of outgoing calls (probe/propagating.py)

Source: W3C Trace Context, Recommendation of 2021 (version 00 of traceparent); the mixing of bits is that of splitmix64
(Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators).
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
# A request has at most as many segments as 24 bits count, and a process as many requests as 40 do.
_SEGMENT_BITS = 24
ROOT = -1  # of the request as a whole, where the serial of a segment is asked for
SAMPLED = 1
_HEADER_BYTES = 55
_HEX = frozenset(b"0123456789abcdef")


def span_of(key: int, request: int, segment: int = ROOT) -> int:
    """
    Return the id of the span that a request, or one segment of it, is: 64 bits, not 0.

    Of one process no two are the same, since every step of the mixing can be taken back.

    >>> span_of(7, 1) != span_of(7, 1, 0) != span_of(8, 1, 0)
    True
    """
    mixed = (request << _SEGMENT_BITS | (segment + 1)) + 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return (mixed ^ mixed >> 31 ^ key) or 1


def trace_of(key: int, request: int) -> int:
    """
    Return the id of the trace that a request began: 128 bits, of which the upper half names the process.
    """
    return (key or 1) << 64 | span_of(key, request)


def parse(header: bytes) -> tuple[str, str, bool] | None:
    """
    Return trace and span of the caller, in hexadecimal, and whether it keeps the trace; None where it is no header.

    >>> parse(b"00-00000000000000000000000000000001-0000000000000002-01")
    ('00000000000000000000000000000001', '0000000000000002', True)
    >>> parse(b"00-00000000000000000000000000000000-0000000000000002-01") is None
    True
    """
    if len(header) != _HEADER_BYTES:
        header = _known_part(header)
    version, trace, span, flags = header[:2], header[3:35], header[36:52], header[53:]
    if header[2::33] != b"--" or header[52:53] != b"-" or not _HEX.issuperset(version + trace + span + flags):
        return None
    if version == b"ff" or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    return trace.decode(), span.decode(), bool(int(flags, 16) & SAMPLED)


def _known_part(header: bytes) -> bytes:
    """
    Return what this version knows of a header: a later one may say more behind it.
    """
    header = header.strip()
    later = header[:2] != b"00" and header[_HEADER_BYTES : _HEADER_BYTES + 1] == b"-"
    return header[:_HEADER_BYTES] if later or len(header) == _HEADER_BYTES else b""

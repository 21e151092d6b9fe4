"""
Digests of what must not leave the process: keyed, so that they tell equal from unequal and nothing else.

A plain hash of a customer number is the number with a hat on: whoever has the recording could try all numbers.  The
key is random for each recording, given to its processes in RUNG_KEY, and never written (BLAKE2b keyed, RFC 7693).

In        the parameters and the result of a statement, the body of a response, a session's cookie
Out       integers of 63 bits, the same in every process of the recording
Not here  which reads are digested (reads.py)
"""

from __future__ import annotations

import functools
import os

try:
    from _blake2 import blake2b  # what hashlib has it from; that loads all of OpenSSL with it
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Any

KEY_BYTES = 16
_SESSION = rb"(?:^|;\s*)([\w.-]*sess(?:ion|id)?[\w.-]*)=([^;]+)"


def _given() -> bytes:
    try:
        given = bytes.fromhex(os.environ.get("RUNG_KEY", ""))
    except ValueError:
        given = b""
    return given if len(given) == KEY_BYTES else os.urandom(KEY_BYTES)


@functools.cache
def _session() -> re.Pattern[bytes]:
    import re  # the app has it by the first cookie

    return re.compile(_SESSION, re.IGNORECASE)


_keyed = blake2b(digest_size=8, key=_given())
_copy: Callable[[], Any] = _keyed.copy


def of_bytes(data: bytes) -> int:
    """
    Return the digest of *data*, below 2 to the power of 63.
    """
    keyed = _copy()
    keyed.update(data)
    return int.from_bytes(keyed.digest(), "big") >> 1


def of_text(text: str) -> int:
    """
    Return the digest of *text*.
    """
    keyed = _copy()
    keyed.update(text.encode("utf-8", "surrogatepass"))
    return int.from_bytes(keyed.digest(), "big") >> 1


def of_session(cookies: bytes) -> int | None:
    """
    Return the digest of the session in the Cookie header *cookies*, or None where it names none.

    >>> of_session(b"theme=dark; sessionid=abc") == of_session(b"sessionid=abc")
    True
    """
    found = _session().search(cookies)
    return None if found is None else of_bytes(found[2])

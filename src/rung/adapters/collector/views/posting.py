"""
Post one request of OTLP over HTTP, and tell what became of it.

In        where to, headers, the bytes of a message
Out       an Answer: accepted, to be tried again and when, or refused
Not here  what is sent when (otlp.py), how often it is tried (lanes.py)

Source: OpenTelemetry, OTLP Specification 1.7, "OTLP/HTTP": retryable are 429, 502, 503 and 504, and no answer at all.
"""

from __future__ import annotations

import email.utils
import gzip
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung import __version__, clock

TRY_AGAIN = frozenset({429, 502, 503, 504})
TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024
AGAIN_S_MAX = 3600.0  # a receiver that asks for more is asked again after this


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a receiver said.

    Attributes:
        accepted: It has taken the request, or all of it but what `body` says.
        again: The same request may be sent once more, not before `after_s` where that is said.
        trouble: What is wrong, in words; of a kind that is said once.
    """

    accepted: bool
    again: bool = False
    after_s: float | None = None
    body: bytes = b""
    trouble: str = ""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """
        Go nowhere else: who receives is the user's choice, and a redirected POST would become a GET.
        """


class Post:
    """
    A receiver, by its base address.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, certificate: str | None = None) -> None:
        self._endpoint = endpoint
        self._headers = {
            **headers, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip",
            "User-Agent": f"rung/{__version__}",
        }  # fmt: skip
        context = ssl.create_default_context(cafile=certificate)
        self._opener = urllib.request.build_opener(_Stay, urllib.request.HTTPSHandler(context=context))

    def __call__(self, path: str, body: bytes, *, timeout_s: float = TIMEOUT_S) -> Answer:
        """
        Send *body* to *path* behind the base address.
        """
        request = urllib.request.Request(  # noqa: S310 - config.py lets http and https pass
            self._endpoint + path, data=gzip.compress(body, compresslevel=1), headers=self._headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                return Answer(accepted=True, body=response.read(ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as refused:
            with refused:
                again = refused.code in TRY_AGAIN
                after_s = _after_s(refused.headers.get("Retry-After")) if again else None
            return Answer(accepted=False, again=again, after_s=after_s, trouble=f"status {refused.code}")
        except urllib.error.URLError as problem:
            return Answer(accepted=False, again=True, trouble=_trouble(problem.reason))
        except (OSError, http.client.HTTPException) as problem:
            return Answer(accepted=False, again=True, trouble=_trouble(problem))


def _trouble(problem: object) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({problem.verify_message}); OTEL_EXPORTER_OTLP_CERTIFICATE names another"
        )
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return str(problem) or type(problem).__name__


def _after_s(told: str | None) -> float | None:
    """
    Return the seconds that a Retry-After asks for: a number, or a date.

    >>> _after_s("7"), _after_s("soon"), _after_s(None)
    (7.0, None, None)
    """
    if told is None:
        return None
    if told.strip().isdigit():
        return min(float(told), AGAIN_S_MAX)
    try:
        at_s = email.utils.parsedate_to_datetime(told).timestamp()
    except ValueError:
        return None
    return min(max(0.0, at_s - clock.now_s()), AGAIN_S_MAX)

"""
urllib3, requests on top of it, and the standard library's urllib: calls of other services.

requests reads a body after urllib3 has returned, and follows redirects itself; so a call of its session is the segment
and what urllib3 does inside of it adds none.

In        urllib3.connectionpool, requests.sessions and urllib.request after their import
Out       segments external, named "http"
Not here  a body that the app reads itself; botocore and other clients on top of urllib3 (seen as urllib3's calls)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from rung.probe.wrapping import around_call, named


def _opener(module: ModuleType) -> None:
    around_call(module.OpenerDirector, "open", "external", named("http"))


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    # HTTPSConnectionPool inherits it.
    "urllib3.connectionpool": lambda module: around_call(
        module.HTTPConnectionPool, "urlopen", "external", named("http")
    ),
    "requests.sessions": lambda module: around_call(module.Session, "send", "external", named("http")),
    "urllib.request": _opener,
}

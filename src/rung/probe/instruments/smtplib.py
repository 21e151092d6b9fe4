"""
The standard library's smtplib: sending mail.

In        smtplib after its import
Out       segments external, named "mail"
Not here  other mail libraries
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from rung.probe.wrapping import around_call, named


def _smtp(module: ModuleType) -> None:
    # A connection made by the constructor goes through connect.
    for name in ("connect", "starttls", "login", "sendmail", "send_message"):
        around_call(module.SMTP, name, "external", named("mail"))


MODULES: Mapping[str, Callable[[ModuleType], None]] = {"smtplib": _smtp}

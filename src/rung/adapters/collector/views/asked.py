"""
Which views there are to be, as the settings and OpenTelemetry's own variables say.

In        the settings, the environment
Out       Asked; the variable that hands it to a collector
Not here  the views (watching.py)

Standard library only: `rung record` asks for it where the recorder alone is installed, too.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, field

from rung.config import ON, Settings, otlp_endpoint
from rung.errors import BadValue
from rung.units import UnitError

VARIABLE = "RUNG_VIEWS"
# Where a receiver on the same machine listens. Source: OTLP Specification, "OTLP/HTTP Default Port".
LOCAL = "http://localhost:4318"


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Which views there are to be.

    Attributes:
        listen: Where the metrics are served, as host and port; None: nowhere.
        otlp: The base address of a receiver; empty: none.
        service: What the service is called.
        goal_s: From what duration on a request is slow.
        samples: How many requests of each route a minute are sent besides the slow and the failed.
    """

    listen: tuple[str, int] | None = None
    otlp: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    service: str = "app"
    goal_s: float = 0.3
    samples: int = 10

    @property
    def any(self) -> bool:
        """
        Return whether there is anything to do.
        """
        return self.listen is not None or bool(self.otlp)


def given(asked: Asked | None) -> dict[str, str]:
    """
    Return what hands *asked* to a collector that is started: a variable, since headers may hold a key.
    """
    return {VARIABLE: json.dumps(asdict(asked))} if asked is not None and asked.any else {}


def taken(environment: MutableMapping[str, str] = os.environ) -> Asked | None:
    """
    Return what `given` handed over, and take it out of *environment*: nothing started later has it.
    """
    told = environment.pop(VARIABLE, None)
    if not told:
        return None
    values = json.loads(told)
    listen = values.pop("listen")
    return Asked(**values, listen=None if listen is None else (listen[0], listen[1]))


def asked_for(settings: Settings, name: str, environment: Mapping[str, str] = os.environ) -> Asked:
    """
    Return what *settings* ask for, for a recording that is called *name*.

    With `otlp.endpoint = "on"` OpenTelemetry's variables say where it goes and with which headers.  These, which may
    hold a key, go to no other address.

    Raises:
        BadValue: a variable that is named is not set, or says what is no address or header.
    """
    endpoint, headers = settings.otlp_endpoint, settings.otlp_headers
    if endpoint == ON:
        endpoint = _standard_endpoint(environment)
        headers = headers or "env:OTEL_EXPORTER_OTLP_HEADERS"
    host, _, port = settings.metrics_listen.rpartition(":")
    return Asked(
        listen=(host.strip("[]"), int(port)) if settings.metrics_listen else None,
        otlp=endpoint,
        headers=_headers(headers, environment) if endpoint else {},
        certificate=environment.get("OTEL_EXPORTER_OTLP_CERTIFICATE") or None,
        service=settings.otlp_service or environment.get("OTEL_SERVICE_NAME") or name,
        goal_s=settings.goal_latency_s,
        samples=settings.otlp_samples,
    )


def _standard_endpoint(environment: Mapping[str, str]) -> str:
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    if protocol not in {"", "http/protobuf"}:
        raise BadValue(
            "otlp.endpoint", ON, expected="the address of a receiver of OTLP over HTTP with protobuf",
            where=f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}",
        )  # fmt: skip
    named = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    try:
        return otlp_endpoint(named) or LOCAL
    except UnitError:
        raise BadValue(
            "otlp.endpoint", ON, expected="an http:// or https:// URL", where="OTEL_EXPORTER_OTLP_ENDPOINT"
        ) from None


def _headers(source: str, environment: Mapping[str, str]) -> dict[str, str]:
    """
    Return headers as OpenTelemetry's variable has them: name=value, percent-encoded, with commas between.
    """
    variable = source.removeprefix("env:")
    if not variable:
        return {}
    told = environment.get(variable, "")
    if not told and variable != "OTEL_EXPORTER_OTLP_HEADERS":
        raise BadValue(
            "otlp.headers", source, expected="the name of a variable that is set", where=f"{variable} is not set"
        )
    headers = {}
    for pair in filter(None, (part.strip() for part in told.split(","))):
        name, is_pair, value = pair.partition("=")
        value = urllib.parse.unquote(value.strip())
        if not is_pair or not name.strip() or not value.isprintable():
            # The value is a secret, and stays out of the message.
            raise BadValue("otlp.headers", source, expected="name=value pairs with commas between", where=variable)
        headers[urllib.parse.unquote(name.strip())] = value
    return headers

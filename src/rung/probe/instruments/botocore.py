"""
botocore and boto3: calls of S3, SQS and the other services of AWS, and of what speaks like them.

What s3transfer does in threads of its own belongs to the request that asked for it (executors.py).

In        botocore.client and botocore.response after their import
Out       segments external: "storage" of S3, else the name of the service; one for a call with its retries, one while
          its body is read whole or in large pieces
Not here  which operation, bucket or key it was; small pieces of a body
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from rung.probe.wrapping import Arguments, Described, around_call, call, named, taken

STORAGE = "storage"
_PIECE_BYTES_MIN = 64 * 1024  # a smaller one comes out of a buffer more often than not


def _called(args: Arguments, _kwargs: Mapping[str, Any], _result: Any) -> Described:
    service = args[0].meta.service_model.service_name
    return (STORAGE if service == "s3" else str(service), None)


def _body(module: ModuleType) -> None:
    original, put = taken(module.StreamingBody, "read")
    if original is None:
        return
    recorded = call(original, "external", named(STORAGE))

    @functools.wraps(original)
    def read(self: Any, amt: int | None = None) -> Any:
        large = amt is None or amt < 0 or amt >= _PIECE_BYTES_MIN
        return recorded(self, amt) if large else original(self, amt)

    put(read)


MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "botocore.client": lambda module: around_call(module.BaseClient, "_make_api_call", "external", _called),
    "botocore.response": _body,
}

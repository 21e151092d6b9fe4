"""
An S3 server for each test process, from a package, and a bucket on it for each test that asks.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from tests.ports import free_port

STARTS_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    An empty bucket, and the URL of a prefix in it.
    """

    endpoint: str
    name: str

    @property
    def prefix(self) -> str:
        return f"s3://{self.name}/fleet"

    def client(self) -> Any:
        return boto3.client("s3", endpoint_url=self.endpoint)

    def listed(self) -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """
    The address of the server.
    """
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + STARTS_S_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server ended"
                assert time.monotonic() < until, "the S3 server does not start"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """
    A bucket of this test alone, named by the environment as a user would name it.
    """
    given = {
        "AWS_ACCESS_KEY_ID": "canary-key-id", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": s3,
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    made = Bucket(s3, f"rung-{uuid.uuid4().hex[:16]}")
    made.client().create_bucket(Bucket=made.name)
    return made

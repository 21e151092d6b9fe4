"""
What the jobs of every queue do.  Lines are asked for by their marks.
"""

import os
import time
from pathlib import Path

import psycopg

BUSY_S = 0.05


def reckon(number: int) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("SELECT %s::int + 1", [number])  # MARK reckon
    until = time.thread_time() + BUSY_S
    while time.thread_time() < until:
        pass


def fail(secret: str) -> None:
    raise ValueError(f"a secret: {secret}")  # MARK fail


def last() -> None:
    Path(os.environ["DONE"]).touch()


async def reckon_async(number: int) -> None:
    connection = await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"])
    async with connection:
        await connection.execute("SELECT %s::int + 2", [number])  # MARK reckon async
    until = time.thread_time() + BUSY_S
    while time.thread_time() < until:
        pass

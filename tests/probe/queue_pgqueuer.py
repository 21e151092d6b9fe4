"""
A queue of PgQueuer and its entrypoints.
"""

import os
from datetime import timedelta

import psycopg
import queue_work as work
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, SyncPsycopgDriver
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job
from pgqueuer.queries import SyncQueries


async def main() -> PgQueuer:
    import asyncpg

    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["DATABASE_URL"])))

    @queue.entrypoint("reckon")
    async def reckon(job: Job) -> None:
        await work.reckon_async(int(job.payload or b"0"))

    @queue.entrypoint("fail")
    async def fail(job: Job) -> None:
        work.fail(str(job.payload))

    @queue.entrypoint("again")
    async def again(job: Job) -> None:
        if job.attempts == 0:
            raise RetryRequested(delay=timedelta(0), reason="not yet")

    @queue.entrypoint("last")
    async def last(_job: Job) -> None:
        work.last()

    return queue


def enqueue() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        queries = SyncQueries(SyncPsycopgDriver(connection))
        queries.enqueue("reckon", b"41")  # MARK pgqueuer
        queries.enqueue(["fail", "fail"], [b"4711", b"4712"], [0, 0], headers=[{"own": "kept"}, None])
        queries.enqueue("again", None)
        queries.enqueue("last", None, -1)

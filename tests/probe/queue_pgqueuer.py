"""
A queue of PgQueuer and its entrypoints; run by itself, its worker.
"""

import asyncio
import os
import signal
from datetime import timedelta

import asyncpg
import psycopg
import queue_work as work
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, SyncPsycopgDriver
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job
from pgqueuer.queries import SyncQueries


async def main() -> PgQueuer:
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
        work.last()

    return queue


def enqueue() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        queries = SyncQueries(SyncPsycopgDriver(connection))
        queries.enqueue("reckon", b"41")  # MARK pgqueuer
        queries.enqueue(["fail", "fail"], [b"4711", b"4712"], [0, 0], headers=[{"own": "kept"}, None])
        queries.enqueue("again", None)


async def serve() -> None:
    queue = await main()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queue.shutdown.set)
    await queue.run()


if __name__ == "__main__":
    asyncio.run(serve())

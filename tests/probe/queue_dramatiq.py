"""
A broker of Dramatiq and its actors.
"""

import asyncio
import os

import dramatiq
import queue_work as work
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import Retry
from dramatiq.middleware import AsyncIO

broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor
def reckon(number):
    work.reckon(number)


@dramatiq.actor(max_retries=0)
def fail(secret):
    work.fail(secret)


tried: list[int] = []


@dramatiq.actor
def again():
    tried.append(1)
    if len(tried) == 1:
        raise Retry("once more", delay=1)
    work.last()


@dramatiq.actor
async def later(number):
    await asyncio.sleep(0)
    await work.reckon_async(number)


def enqueue() -> None:
    reckon.send(41)  # MARK dramatiq
    fail.send("4711")
    again.send()
    later.send(3)

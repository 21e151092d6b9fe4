"""
A queue of RQ.
"""

import os

from queue_work import fail, last, reckon
from redis import Redis
from rq import Queue


def queue(**options: bool) -> Queue:
    return Queue("shop", connection=Redis.from_url(os.environ["REDIS_URL"]), **options)


def enqueue() -> None:
    shop = queue()
    shop.enqueue(reckon, 41)  # MARK rq
    shop.enqueue_many([Queue.prepare_data(fail, ["4711"]), Queue.prepare_data(reckon, [2])])
    shop.enqueue(last)


def at_once() -> None:
    queue(is_async=False).enqueue(reckon, 1)

"""
A web app that hands jobs to a queue, and the worker of that queue.
"""

import os
import time
from pathlib import Path

import psycopg
from celery import Celery
from flask import Flask

FOLDER = os.environ["QUEUE_FOLDER"]

celery = Celery("celery_app", broker="filesystem://")
celery.conf.update(
    broker_transport_options={"data_folder_in": FOLDER, "data_folder_out": FOLDER, "control_folder": FOLDER},
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
app = Flask(__name__)


@celery.task(name="shop.reckon")
def reckon(number):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("SELECT %s::int + 1", [number])  # MARK reckon
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass


@celery.task(name="shop.fail")
def fail(secret):
    raise ValueError(f"a secret: {secret}")  # MARK fail


@celery.task(name="shop.again", bind=True, default_retry_delay=0, max_retries=1)
def again(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@celery.task(name="shop.last")
def last(path):
    Path(path).touch()


@app.get("/enqueue")
def enqueue():
    reckon.delay(41)  # MARK enqueue
    fail.apply_async(["4711"])
    again.delay()
    last.delay(os.environ["DONE"])
    return "queued"


@app.get("/at-once")
def at_once():
    reckon.apply([1])
    return "done"

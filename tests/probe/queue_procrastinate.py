"""
An app of Procrastinate and its tasks.
"""

import os

import procrastinate
import queue_work as work

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="shop.reckon")
def reckon(number):
    work.reckon(number)


@app.task(name="shop.later")
async def later(number):
    await work.reckon_async(number)


@app.task(name="shop.fail")
async def fail(secret):
    work.fail(secret)


@app.task(name="shop.again", retry=1)
async def again():
    raise LookupError("not yet")


@app.task(name="shop.last")
async def last():
    work.last()


def enqueue() -> None:
    with app.replace_connector(procrastinate.SyncPsycopgConnector(conninfo=os.environ["DATABASE_URL"])) as sync:
        sync.open()
        reckon.defer(number=41)  # MARK procrastinate
        later.batch_defer({"number": 1}, {"number": 2})
        fail.defer(secret="4711")
        again.defer()
        last.configure(priority=-1).defer()
        sync.close()

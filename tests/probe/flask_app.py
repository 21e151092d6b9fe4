"""
A route for each thing that the probe has to get right.  Lines are asked for by their marks.
"""

import asyncio
import os
import time

import psycopg
from flask import Blueprint, Flask, Response, abort, jsonify, request, send_file

DATABASE = os.environ["DATABASE_URL"]

app = Flask(__name__)


@app.get("/orders/<int:order_id>")
def order(order_id):
    text = "SELECT n, 'a secret' FROM generate_series(1, 4) n WHERE n < %s"
    with psycopg.connect(DATABASE) as connection:
        cursor = connection.execute(text, [order_id])  # MARK order
        return jsonify(rows=len(cursor.fetchall()))


@app.get("/boom")
def boom():
    raise ValueError("a secret of the app")  # MARK boom


@app.get("/handled")
def handled():
    raise KeyError("tea")


@app.errorhandler(KeyError)
def teapot(error):
    return "tea", 418


@app.get("/unavailable")
def unavailable():
    abort(503)  # MARK unavailable


@app.get("/wait")
def wait():
    time.sleep(0.1)
    return "waited"


@app.get("/compute")
def compute():
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    return "computed"


@app.post("/echo")
def echo():
    return request.get_data()


@app.get("/stream")
def stream():
    def lines():
        for number in range(3):
            yield f"{number}\n"
            time.sleep(0.02)

    return Response(lines())


@app.get("/breaks")
def breaks():
    def lines():
        yield "one\n"
        raise LookupError("a secret of the stream")  # MARK breaks

    return Response(lines())


@app.get("/endless")
def endless():
    def lines():
        until = time.monotonic() + 20
        while time.monotonic() < until:
            yield "x" * 10_000
            time.sleep(0.01)

    return Response(lines())


@app.get("/file")
def file():
    return send_file(__file__)


@app.get("/async/<int:number>")
async def asynchronous(number):
    await asyncio.sleep(0.05)
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    return {"number": number}


items = Blueprint("items", __name__, url_prefix="/shops/<shop>")


@items.get("/items/<uuid:item_id>/<any(open, paid):state>")
def item(shop, item_id, state):
    return {"shop": shop, "item": str(item_id), "state": state}


app.register_blueprint(items)

"""
Flask, with values in every corner of its requests.
"""

from __future__ import annotations

import private_work as work
from flask import Flask, render_template_string, request

app = Flask(__name__)
app.logger.handlers = work.log.handlers
app.logger.propagate = False
work.begin()


@app.get("/task/<number>")
async def do(number):
    await work.async_work()
    return work.SECRETS["response"], {"X-Said": work.SECRETS["response_header"]}


@app.get("/work-in-thread/<number>")
def do_in_thread(number):
    work.sync_work()
    return render_template_string("{{ it }}", it=work.SECRETS["template_value"])


@app.route("/echo", methods=["GET", "POST", work.SECRETS["method"]])
def echo():
    return request.get_data()


@app.get("/boom")
def boom():
    work.fail()


@app.get("/people/<email>")
def people(email):
    return {"found": work.slow(email)}

"""
Flask and psycopg: the price of a thing comes from another service, which takes its time. With TRACES it has
OpenTelemetry's SDK, by the conventions that were in force before 2023.
"""

import os
from contextlib import nullcontext

import psycopg
import requests
from flask import Flask, g, request
from opentelemetry.trace import SpanKind
from tracing import tracer

TRACER = tracer("prices")
app = Flask(__name__)


def span(name, kind, **attributes):
    if TRACER is None:
        return nullcontext()
    told = {key.replace("__", "."): value for key, value in attributes.items()}
    return TRACER.start_as_current_span(name, kind=kind, attributes=told)


@app.before_request
def begin():
    rule = str(request.url_rule)
    g.span = span(rule, SpanKind.SERVER, http__method=request.method, http__route=rule, http__target=request.path)
    g.server = g.span.__enter__()


@app.after_request
def told(response):
    if g.server is not None:
        g.server.set_attribute("http.status_code", response.status_code)
    return response


@app.teardown_request
def end(error):
    g.span.__exit__(None, None, None)


@app.get("/things/<int:thing_id>/price")
def price(thing_id):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        text = "SELECT note FROM orders WHERE id = %s"
        with span("SELECT", SpanKind.CLIENT, db__system="postgresql", db__statement=text, db__name="shop"):
            connection.execute(text, [thing_id]).fetchone()
    url = os.environ["PRICES_URL"]
    with span("GET", SpanKind.CLIENT, http__method="GET", http__url=url):
        return requests.get(url, timeout=30).text


@app.get("/things/<int:thing_id>")
def thing(thing_id):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        text = "SELECT id, note FROM orders WHERE id = %s"
        with span("SELECT", SpanKind.CLIENT, db__system="postgresql", db__statement=text, db__name="shop"):
            return str(connection.execute(text, [thing_id]).fetchone())

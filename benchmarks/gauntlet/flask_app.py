"""
The sync app: Flask on psycopg, under gunicorn with threads; which of its faults are in is said by the environment.

In        GAUNTLET_FAULTS, and the settings below
Out       the app
Not here  which scenario has which fault (scenarios.py)
"""

# ruff: noqa: D103 - a page says what it is by its route

from __future__ import annotations

import json
import os
import smtplib
import threading
import time
from email.message import EmailMessage
from typing import Any

import psycopg
import psycopg_pool
import requests
from flask import Flask, Response
from psycopg.rows import dict_row

from benchmarks.gauntlet import statements as text
from benchmarks.gauntlet.statements import Statement

FAULTS = frozenset(os.environ.get("GAUNTLET_FAULTS", "").split(","))
POOL = int(os.environ.get("POOL", "10"))
OUTSIDE_S = float(os.environ.get("OUTSIDE_S", "0.05"))
STATEMENT_S = float(os.environ.get("STATEMENT_S", "0.004"))
ROUNDS = int(os.environ.get("ROUNDS", "60000"))
ROWS = int(os.environ.get("ROWS", "40"))
DATABASE = os.environ["DATABASE_URL"]
OUTSIDE = os.environ["OUTSIDE_URL"]

app = Flask(__name__)
pool = psycopg_pool.ConnectionPool(DATABASE, min_size=POOL, max_size=POOL, kwargs={"row_factory": dict_row}, open=True)
outside = requests.Session()
outside.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=50))
kept: dict[str, tuple[float, str]] = {}


def asked(statement: Statement, *values: Any) -> list[dict[str, Any]]:
    """
    Return the rows that *statement* gives.
    """
    with pool.connection() as connection:
        return connection.execute(statement.percent, values).fetchall()


def answer(rows: Any) -> Response:
    """
    Return rows as JSON.
    """
    return Response(json.dumps(rows, default=str), mimetype="application/json")


@app.get("/health")
def health() -> Response:
    return answer({"up": True})


@app.get("/orders/<int:customer>")
def orders(customer: int) -> Response:
    return answer(asked(text.ORDERS, customer))


@app.get("/recent/<int:customer>")
def recent(customer: int) -> Response:
    return answer(asked(text.RECENT, customer))


@app.get("/cart/<int:cart>")
def cart(cart: int) -> Response:
    if "nplusone" not in FAULTS:
        return answer(asked(text.CART_JOINED, cart))
    with pool.connection() as connection:
        lines = connection.execute(text.CART.percent, (cart,)).fetchall()
        return answer([connection.execute(text.PRODUCT.percent, (line["product_id"],)).fetchone() for line in lines])


@app.get("/customers/<int:customer>")
def customer(customer: int) -> Response:
    return answer(asked(text.ONE_CUSTOMER, customer))


@app.get("/checked/<int:number>")
def checked(number: int) -> Response:
    with pool.connection() as connection:
        return answer([connection.execute(one.percent, (number, STATEMENT_S)).fetchone() for one in text.CHECKS])


@app.post("/purchases/<int:product>")
def purchase(product: int) -> Response:
    wanted = 1 if "onerow" in FAULTS else product
    with pool.connection() as connection:
        connection.execute(text.PURCHASE.percent, (wanted, product))
        if "heldlock" in FAULTS:
            connection.execute(text.TAKE.percent, (wanted,))
        answers = [connection.execute(one.percent, (product, STATEMENT_S)).fetchone() for one in text.CHECKS]
        if "heldlock" not in FAULTS:
            connection.execute(text.TAKE.percent, (wanted,))
    return answer(answers)


@app.get("/quotes/<int:number>")
def quote(number: int) -> Response:
    if "heldpool" in FAULTS:
        with pool.connection() as connection:
            found = connection.execute(text.PRODUCT.percent, (number,)).fetchone()
            got = outside.get(f"{OUTSIDE}/wait/{OUTSIDE_S}", timeout=20).json()
    else:
        found = asked(text.PRODUCT, number)[0]
        got = outside.get(f"{OUTSIDE}/wait/{OUTSIDE_S}", timeout=20).json()
    return answer({"product": found, **got})


@app.get("/products/<int:number>")
def product(number: int) -> Response:
    if "connect" not in FAULTS:
        return answer(asked(text.PRODUCT, number))
    with psycopg.connect(DATABASE, row_factory=dict_row) as connection:
        return answer(connection.execute(text.PRODUCT.percent, (number,)).fetchone())


def score_of(number: int, rounds: int) -> int:
    """
    Compute for a while.
    """
    for step in range(rounds):
        number = (number * 31 + step) % 1_000_003
    return number


@app.get("/scores/<int:number>")
def score(number: int) -> Response:
    found = asked(text.ONE_CUSTOMER, number)
    return answer({"customer": found, "score": score_of(number, ROUNDS if "hot" in FAULTS else 500)})


def send_mail(customer: int) -> None:
    """
    Send a mail, which takes as long as the mail server takes.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", "one@example.com", f"Hello {customer}"
    message.set_content("Thank you.")
    with smtplib.SMTP("127.0.0.1", int(os.environ["SMTP_PORT"])) as server:
        server.send_message(message)


@app.post("/invitations/<int:customer>")
def invite(customer: int) -> Response:
    found = asked(text.ONE_CUSTOMER, customer)
    if "mail" in FAULTS:
        send_mail(customer)
    else:
        threading.Thread(target=send_mail, args=(customer,)).start()
    return answer(found)


@app.get("/bestsellers")
def bestsellers() -> Response:
    until_s, found = kept.get("bestsellers", (0.0, ""))
    if "repeated" in FAULTS or until_s < time.monotonic():
        found = json.dumps(asked(text.BESTSELLERS), default=str)
        kept["bestsellers"] = (time.monotonic() + 60, found)
    return Response(found, mimetype="application/json")


@app.get("/export")
def export() -> Response:
    limit = ROWS if "large" in FAULTS else 20
    return Response(json.dumps(asked(text.EXPORT, limit), default=str, indent=1), mimetype="application/json")


@app.get("/report")
def report() -> Response:
    time.sleep(0.8)
    return answer(asked(text.BESTSELLERS))

"""
The sample shop on a real database: its pages, their JSON twins, the checkout with its mail, and its seed.
"""

from __future__ import annotations

import asyncio
import importlib
import smtplib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import httpx
import pytest
from aiosmtpd.smtp import SMTP

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZES = {"orders": 2_000, "customers": 100, "products": 50}
TODAY = date(2026, 3, 1)
CHECKSUMS = (
    "SELECT md5(string_agg(customers::text, '' ORDER BY id)) FROM customers",
    "SELECT md5(string_agg(products::text, '' ORDER BY id)) FROM products",
    "SELECT md5(string_agg(reviews::text, '' ORDER BY id)) FROM reviews",
    "SELECT md5(string_agg(orders::text, '' ORDER BY id)) FROM orders",
    "SELECT md5(string_agg(order_lines::text, '' ORDER BY order_id, position)) FROM order_lines",
)


class Postbox:
    """
    A mail server's handler that keeps what it is given.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        self.messages.append(message_from_bytes(envelope.content))
        return "250 OK"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """
    Import a module of the shop the way its server does, from the folder `examples`.
    """
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield lambda name: importlib.import_module(f"shop.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.fixture
def visit(
    shop: Callable[[str], ModuleType], database: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[httpx.AsyncClient, Postbox], Awaitable[None]]], None]:
    """
    Run a visitor's coroutine against the app on a small, freshly laid database and a real mail server.
    """
    monkeypatch.setenv("DATABASE_URL", database)

    @asynccontextmanager
    async def open_shop(postbox: Postbox) -> AsyncIterator[httpx.AsyncClient]:
        await shop("data").lay(database, **SIZES, say=lambda _: None)
        loop = asyncio.get_running_loop()
        mail = await loop.create_server(lambda: SMTP(postbox, hostname="mail.example", loop=loop), "127.0.0.1", 0)
        monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("SMTP_PORT", str(mail.sockets[0].getsockname()[1]))
        app = shop("main").app
        try:
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client,
            ):
                yield client
        finally:
            mail.close()
            await mail.wait_closed()

    def run(visitor: Callable[[httpx.AsyncClient, Postbox], Awaitable[None]]) -> None:
        async def whole() -> None:
            postbox = Postbox()
            async with open_shop(postbox) as client:
                await visitor(client, postbox)

        asyncio.run(whole())

    return run


def test_each_page_answers_and_links_to_the_others(visit: Callable[..., None]) -> None:
    """
    A visitor can click from the front page to every other page.
    """

    async def visitor(client: httpx.AsyncClient, _: Postbox) -> None:
        for path, texts in {
            "/": ("New this week", 'href="/products/50"', 'href="/categories/'),
            "/products/50": ("in stock", "Reviews", 'action="/cart"'),
            "/cart": ("The cart is empty",),
            "/cart?product=50&quantity=2": ("Buy", 'value="50"', 'value="2"', 'action="/checkout"'),
            "/account": ("Your e-mail address",),
            "/customers/1/orders": ("Orders of", "The latest 20", "customer1@example.org"),
            "/orders/2000": ("Order 2000", "Ships to", 'href="/customers/'),
            "/orders/1": ("tracking code",),
            "/reports/sales": ("Sales of the last 30 days", "Total", 'href="/categories/'),
            "/static/shop.css": ("font",),
            "/health": ("ok",),
        }.items():
            answer = await client.get(path)
            assert answer.status_code == 200, path
            for text in texts:
                assert text in answer.text, path
        category = (await client.get("/api/products/50")).json()["category"]
        assert f"{category.capitalize()}</h1>" in (await client.get(f"/categories/{category}")).text
        found = await client.get("/account", params={"email": "customer7@example.org"})
        assert (found.status_code, found.headers["location"]) == (303, "/customers/7/orders")
        assert "No customer has that address" in (await client.get("/account?email=x@example.org")).text

    visit(visitor)


def test_the_json_twins_say_what_the_pages_say(visit: Callable[..., None]) -> None:
    """
    The API gives the same products, orders and sales as the pages.
    """

    async def visitor(client: httpx.AsyncClient, _: Postbox) -> None:
        cards = (await client.get("/api/products")).json()
        assert [card["id"] for card in cards] == list(range(50, 10, -1))
        assert len((await client.get("/api/products/50")).json()["reviews"]) == cards[0]["review_count"]

        latest = (await client.get("/api/customers/1/orders")).json()
        assert len(latest) == 20
        assert latest == sorted(latest, key=lambda order: order["created_at"], reverse=True)
        page = (await client.get("/customers/1/orders")).text
        assert all(f'href="/orders/{order["id"]}"' in page for order in latest)

        order = (await client.get(f"/api/orders/{latest[0]['id']}")).json()
        amount = sum(line["quantity"] * float(line["unit_price"]) for line in order["lines"])
        assert float(order["total"]) == pytest.approx(amount)

        sales = (await client.get("/api/reports/sales")).json()
        page = (await client.get("/reports/sales")).text
        assert sales
        assert all(f"{float(category['amount']):,.2f} EUR" in page for category in sales)

    visit(visitor)


def test_what_is_not_there_is_said_to_be_not_there(visit: Callable[..., None]) -> None:
    """
    A missing page is a page with status 404 for a person and JSON for a program.
    """

    async def visitor(client: httpx.AsyncClient, _: Postbox) -> None:
        for path in (
            "/nowhere",
            "/products/999",
            "/products/lamp",
            "/products/99999999999999999999",
            "/orders/999999",
            "/customers/999/orders",
            "/categories/nothing",
        ):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            assert "No such page" in answer.text, path
        for path in ("/api/products/999", "/api/orders/999999", "/api/customers/999/orders"):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            assert answer.json()["detail"].startswith("there is no"), path
        assert (await client.get("/api/products/lamp")).status_code == 422

    visit(visitor)


def test_checkout_writes_an_order_and_sends_one_mail(visit: Callable[..., None], database: str) -> None:
    """
    Buying leaves an order with a line, takes from stock, and has been confirmed when the answer comes.
    """

    async def visitor(client: httpx.AsyncClient, postbox: Postbox) -> None:
        before = (await client.get("/api/products/7")).json()
        answer = await client.post("/checkout", data={"customer": "3", "product": "7", "quantity": "2"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/orders/2001")
        assert len(postbox.messages) == 1
        assert postbox.messages[0]["Subject"] == "Your order 2001"
        assert postbox.messages[0]["To"] == "customer3@example.org"
        assert before["name"] in (await client.get("/orders/2001")).text
        assert (await client.get("/api/products/7")).json()["stock"] == before["stock"] - 2

        answer = await client.post("/api/checkout", json={"customer": 3, "product": 7, "quantity": 1})
        assert (answer.status_code, answer.json()["id"]) == (201, 2002)
        assert len(postbox.messages) == 2
        connection = await asyncpg.connect(database)
        try:
            lines = await connection.fetch(
                "SELECT order_id, product_id, quantity FROM order_lines WHERE order_id > 2000"
            )
        finally:
            await connection.close()
        assert sorted(map(tuple, lines)) == [(2001, 7, 2), (2002, 7, 1)]

    visit(visitor)


def test_a_wrong_form_is_shown_again_with_what_is_wrong(visit: Callable[..., None], database: str) -> None:
    """
    Nothing is ordered, and each wrong field has its sentence beside it and keeps what was typed.
    """

    async def visitor(client: httpx.AsyncClient, postbox: Postbox) -> None:
        connection = await asyncpg.connect(database)
        try:
            await connection.execute("UPDATE products SET stock = 1 WHERE id = 8")
        finally:
            await connection.close()
        for form, text in (
            ({}, "Please give your customer number."),
            ({"customer": "Ada", "product": "7", "quantity": "1"}, "Please give your customer number."),
            ({"customer": "3", "product": "7", "quantity": "21"}, "Please choose a quantity between 1 and 20."),
            ({"customer": "3", "product": "", "quantity": "1"}, "Please choose a product."),
            ({"customer": "999", "product": "7", "quantity": "1"}, "There is no customer with that number."),
            ({"customer": "3", "product": "999", "quantity": "1"}, "There is no such product."),
            ({"customer": "3", "product": "8", "quantity": "2"}, "Only 1 left."),
        ):
            answer = await client.post("/checkout", data=form)
            assert answer.status_code == 422, form
            assert text in answer.text, form
            assert f'value="{form.get("customer", "")}"' in answer.text
        refused = await client.post("/api/checkout", json={"customer": 999, "product": 7, "quantity": 1})
        assert refused.status_code == 422
        assert postbox.messages == []
        assert (await client.get("/api/orders/2001")).status_code == 404

    visit(visitor)


def test_an_order_stands_when_its_mail_cannot_be_sent(
    visit: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A mail server that is down costs the confirmation, not the order.
    """

    async def visitor(client: httpx.AsyncClient, _: Postbox) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free_port = taken.getsockname()[1]
        monkeypatch.setenv("SMTP_PORT", str(free_port))
        answer = await client.post("/checkout", data={"customer": "3", "product": "7", "quantity": "1"})
        assert answer.status_code == 303
        assert "no confirmation sent for order 2001" in caplog.text

    visit(visitor)


def test_the_seed_is_the_same_every_time(shop: Callable[[str], ModuleType], database: str) -> None:
    """
    Equal sizes and day give equal rows; orders of a customer and totals of orders are what they should be.
    """

    async def checksums() -> list[str]:
        connection = await asyncpg.connect(database)
        try:
            await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        finally:
            await connection.close()
        await shop("data").lay(database, **SIZES, today=TODAY, say=lambda _: None)
        connection = await asyncpg.connect(database)
        try:
            return [await connection.fetchval(checksum) for checksum in CHECKSUMS]
        finally:
            await connection.close()

    first, second = asyncio.run(checksums()), asyncio.run(checksums())

    assert all(first)
    assert first == second


def test_the_seed_adds_up(shop: Callable[[str], ModuleType], database: str) -> None:
    """
    Totals are sums of lines (of the newest quarter), few customers have many orders, customer_id has no index.
    """

    async def facts() -> tuple[int, int, float, list[str]]:
        await shop("data").lay(database, **SIZES, say=lambda _: None)
        connection = await asyncpg.connect(database)
        try:
            wrong = await connection.fetchval(
                "SELECT count(*) FROM orders LEFT JOIN (SELECT order_id, sum(quantity * unit_price) AS amount"
                " FROM order_lines GROUP BY order_id) AS lines ON order_id = id"
                " WHERE amount IS DISTINCT FROM total AND id > $1",
                SIZES["orders"] - SIZES["orders"] // 4,
            )
            counts = await connection.fetch("SELECT count(*) FROM orders GROUP BY customer_id ORDER BY count(*)")
            indexed = await connection.fetch(
                "SELECT DISTINCT attname FROM pg_index"
                " JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
                " WHERE indrelid = 'orders'::regclass"
            )
        finally:
            await connection.close()
        return wrong, counts[-1][0], counts[len(counts) // 2][0], [row[0] for row in indexed]

    wrong, most, median, indexed = asyncio.run(facts())

    assert wrong == 0
    assert most > 5 * median
    assert indexed == ["id"]


def test_data_refuses_a_database_that_has_the_tables(database: str) -> None:
    """
    A second run changes nothing and says so, with status 2.
    """
    command = [sys.executable, "-m", "shop.data", "--database", database]
    sizes = ["--orders", "100", "--customers", "10", "--products", "5"]
    first = subprocess.run([*command, *sizes], cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=False)
    again = subprocess.run([*command, *sizes], cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=False)

    assert first.returncode == 0, first.stderr
    assert "100 orders of 10 customers" in first.stdout
    assert again.returncode == 2
    assert "nothing was changed" in again.stderr


def test_the_mail_server_takes_a_message_and_ends_when_told_to() -> None:
    """
    It prints its port and nothing else, takes a message, and leaves with status 0 on SIGTERM.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "shop.mailserver", "--port", "0", "--delay", "0.01"],
        cwd=EXAMPLES,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with smtplib.SMTP("127.0.0.1", port, local_hostname="shop.example", timeout=10) as server:
                refused = server.sendmail(
                    "shop@example.org", ["customer1@example.org"], "Subject: hello\r\n\r\nhello\r\n"
                )
        finally:
            process.terminate()
        rest = process.communicate(timeout=10)

    assert refused == {}
    assert rest == ("", "")
    assert process.returncode == 0


def test_the_shop_knows_nothing_of_the_tool() -> None:
    """
    The finder must find what an app has that was never written for it.
    """
    for path in EXAMPLES.joinpath("shop").rglob("*.py"):
        assert "rung" not in path.read_text(encoding="utf-8"), path

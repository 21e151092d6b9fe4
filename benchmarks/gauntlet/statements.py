"""
The statements of the apps, once for all drivers.

In        nothing
Out       each Statement, with the placeholders of asyncpg and of psycopg
Not here  the tables (tables.sql)
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """
    SQL with $1, $2 for its values.
    """

    dollar: str

    @property
    def percent(self) -> str:
        """
        Return it with %s, as psycopg takes it.
        """
        return re.sub(r"\$\d", "%s", self.dollar)


ORDERS = Statement("SELECT id, created_at, total FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 20")
RECENT = Statement("SELECT id, total FROM orders WHERE customer_id = $1 AND created_at > timestamptz '2026-02-01'")
CART = Statement("SELECT product_id FROM cart_line WHERE cart_id = $1")
PRODUCT = Statement("SELECT id, name, price, text FROM product WHERE id = $1")
CART_JOINED = Statement(
    "SELECT p.id, p.name, p.price, p.text FROM cart_line c JOIN product p ON p.id = c.product_id WHERE c.cart_id = $1"
)
VISITS = Statement("SELECT id, page FROM visit WHERE kind = $1 AND day = $2")
PURCHASE = Statement("INSERT INTO purchase (product_id, customer_id) VALUES ($1, $2)")
TAKE = Statement("UPDATE stock SET pieces = pieces - 1 WHERE id = $1")
ONE_CUSTOMER = Statement("SELECT id FROM customer WHERE id = $1")
BESTSELLERS = Statement(
    "SELECT p.id, p.name, sum(c.pieces) AS pieces FROM cart_line c JOIN product p ON p.id = c.product_id "
    "GROUP BY p.id ORDER BY pieces DESC, p.id LIMIT 10"
)
EXPORT = Statement("SELECT id, name, price, text FROM product ORDER BY id LIMIT $1")
CHECKS = tuple(
    Statement(f"SELECT {name}($1::int, $2::float8)") for name in ("stock_level", "tax_rate", "delivery_day", "discount")
)

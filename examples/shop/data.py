"""
Lay the shop's tables and rows: ``python -m shop.data --database postgresql://you@localhost/shop``.

The database makes its own rows (seed.sql); this file only sends it the scripts, stage by stage, in one transaction,
and says how long each took.  It never drops anything: a database that has these tables already is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import asyncpg

FOLDER = Path(__file__).parent
SCRIPTS = ("schema.sql", "seed.sql", "keys.sql")
STAGE = re.compile(r"^-- Stage: (.+)$", re.MULTILINE)


async def lay(
    dsn: str,
    *,
    orders: int = 1_000_000,
    customers: int = 50_000,
    products: int = 5_000,
    today: date | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """
    Create the shop's tables in the database at *dsn* and fill them, the same rows for the same sizes and *today*.

    *today* is the day that the newest order leads up to; without it, the database's current date.

    Raises:
        asyncpg.DuplicateTableError: the database has a table of one of these names; nothing was changed.
    """
    began_s = time.monotonic()
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            sizes = {"orders": orders, "customers": customers, "products": products, "today": today or ""}
            for name, value in sizes.items():
                await connection.execute("SELECT set_config($1, $2, true)", f"shop.{name}", str(value))
            for stage, statements in stages():
                stage_began_s = time.monotonic()
                await connection.execute(statements)
                say(f"{stage:14} {time.monotonic() - stage_began_s:5.1f} s")
        await _settle(connection, say)
    finally:
        await connection.close()
    say(f"{orders:,} orders of {customers:,} customers in {time.monotonic() - began_s:.1f} s")


def stages() -> Iterator[tuple[str, str]]:
    """
    Yield each stage's name and statements, in the order to run them.
    """
    for script in SCRIPTS:
        head, *rest = STAGE.split((FOLDER / script).read_text(encoding="utf-8"))
        if not rest:
            yield "tables", head
        yield from zip(rest[::2], rest[1::2], strict=True)


async def _settle(connection: asyncpg.Connection, say: Callable[[str], object]) -> None:
    """
    Do now what the server would otherwise start on its own in the first busy minutes.
    """
    began_s = time.monotonic()
    await connection.execute("VACUUM (ANALYZE) customers, products, reviews, orders, order_lines")
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    except asyncpg.PostgresError as error:
        say(f"without pg_stat_statements: {error}")
    try:
        await connection.execute("CHECKPOINT")
    except asyncpg.InsufficientPrivilegeError:
        say("no checkpoint: this role may not ask for one, so the server will do it in its own time")
    say(f"{'statistics':14} {time.monotonic() - began_s:5.1f} s")


def main() -> int:
    """
    Run the command line; return its exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m shop.data", description="Lay the shop's tables and rows.")
    parser.add_argument("--database", required=True, metavar="DSN", help="postgresql://user:password@host:port/name")
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--products", type=int, default=5_000)
    asked = parser.parse_args()
    try:
        asyncio.run(lay(asked.database, orders=asked.orders, customers=asked.customers, products=asked.products))
    except asyncpg.DuplicateTableError as error:
        print(f"nothing was changed: {error}; give an empty database", file=sys.stderr)
        return 2
    except (OSError, asyncpg.PostgresError) as error:
        print(f"the database did not take it: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

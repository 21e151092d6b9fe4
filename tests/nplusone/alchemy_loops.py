"""
Loops that ask again and again and are no N+1.
"""

from __future__ import annotations

import asyncio
import os

import alchemy_async
import psycopg
from alchemy_models import Customer, Invoice, Line, Product, Purchase, Review, Tag
from alchemy_sync import engine
from fastapi import APIRouter
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload

router = APIRouter(prefix="/loop")


@router.get("/keyset")
def keyset() -> int:
    after, seen = 0, 0
    with Session(engine) as session:
        while True:
            page = text("SELECT id, name FROM event WHERE id > :after ORDER BY id LIMIT 100")
            rows = session.execute(page, {"after": after}).all()
            if not rows:
                return seen
            after, seen = rows[-1].id, seen + len(rows)


@router.get("/offset")
def offset() -> int:
    seen = 0
    with Session(engine) as session:
        while rows := session.execute(
            text("SELECT id, name FROM event ORDER BY name LIMIT :size OFFSET :begin"), {"size": 100, "begin": seen}
        ).all():
            seen += len(rows)
    return seen


@router.get("/keyset-of-one")
async def keyset_of_one() -> int:
    last, seen = 10**9, 0
    async with AsyncSession(alchemy_async.engine) as session:
        while True:
            page = select(Review).where(Review.stars < 6, Review.id < last).order_by(Review.id.desc()).limit(25)
            reviews = (await session.scalars(page)).all()
            if not reviews:
                return seen
            last, seen = reviews[-1].id, seen + len(reviews)


@router.get("/retries")
def retries() -> int:
    tries = 0
    with Session(engine) as session:
        while True:
            tries += 1
            try:
                # Fails until the fifth try, as a statement that meets a deadlock does.
                session.execute(text("SELECT 1 / GREATEST(0, CAST(:tries AS integer) - 4)"), {"tries": tries})
            except DBAPIError:
                session.rollback()
            else:
                return tries


@router.get("/polling")
async def polling() -> int:
    looks = 0
    async with AsyncSession(alchemy_async.engine) as session:
        while looks < 6:
            state = await session.scalar(text("SELECT state FROM job WHERE id = :job"), {"job": 1})
            assert state == "running"
            await session.rollback()
            await asyncio.sleep(0.002)
            looks += 1
    return looks


@router.get("/batch-of-writes")
def batch_of_writes() -> int:
    with Session(engine) as session:
        for number in range(6):
            session.execute(insert(Tag), [{"name": f"new {number} {each}"} for each in range(10)])
        session.rollback()
    return 6


@router.get("/different")
def different() -> list[int | None]:
    with Session(engine) as session:
        states = [
            select(func.count()).select_from(Purchase).where(Purchase.state == "paid"),
            select(func.count()).select_from(Purchase).where(Purchase.customer_id > 3),
            select(func.count()).select_from(Purchase).where(Purchase.id > 3),
            select(func.count()).select_from(Purchase).where(Purchase.note == ""),
            select(func.count()).select_from(Purchase).where(Purchase.note != ""),
        ]
        return [session.scalar(each) for each in states]


@router.get("/tables")
def tables() -> list[int | None]:
    with Session(engine) as session:
        kinds = (Customer, Product, Purchase, Line, Invoice, Review, Tag)
        return [session.scalar(select(func.count()).select_from(kind)) for kind in kinds]


@router.get("/shards")
def shards() -> list[int]:
    found = []
    for url in os.environ["SHARDS"].split(","):
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT count(*) FROM pg_class WHERE relkind = %s", ("r",)).fetchone()
            found.append(row[0] if row else 0)
    return found


@router.get("/chunks")
def chunks() -> int:
    seen = 0
    with Session(engine) as session:
        numbers = session.scalars(select(Line.product_id).order_by(Line.id)).all()
        for begin in range(0, len(numbers), 10):
            seen += len(session.scalars(select(Product).where(Product.id.in_(numbers[begin : begin + 10]))).all())
    return seen


@router.get("/prefetch")
def prefetch() -> int:
    with Session(engine) as session:
        found = session.scalars(select(Purchase).options(selectinload(Purchase.lines).selectinload(Line.product)))
        return sum(len(purchase.lines) for purchase in found)


@router.get("/same")
def same() -> list[str | None]:
    return [_viewer() for _ in range(6)]


def _viewer() -> str | None:
    with Session(engine) as session:
        return session.scalar(select(Customer.name).where(Customer.id == 7))

"""
SQLAlchemy, async: each route asks one by one, its twin at /fixed does not.
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

from alchemy_models import Line, Product, Purchase
from fastapi import APIRouter, Query
from sqlalchemy import make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

engine = create_async_engine(make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg"), pool_size=8)
router = APIRouter(prefix="/async")

LATEST = select(Purchase).order_by(Purchase.id.desc()).limit(8)


@router.get("/awaitable")
async def awaitable() -> list[int]:
    async with AsyncSession(engine) as session:
        found = await session.scalars(LATEST)
        return [await _lines(purchase) for purchase in found]


async def _lines(purchase: Purchase) -> int:
    lines = await purchase.awaitable_attrs.lines  # MARK async-awaitable
    return len(lines)


@router.get("/awaitable/fixed")
async def awaitable_fixed() -> list[int]:
    async with AsyncSession(engine) as session:
        found = await session.scalars(LATEST.options(selectinload(Purchase.lines)))
        return [await _lines(purchase) for purchase in found]


def _names(session: Session) -> list[str]:
    names = []
    for line in session.scalars(select(Line).order_by(Line.id).limit(8)):
        names.append(line.product.name)  # MARK async-run-sync
    return names


@router.get("/run-sync")
async def run_sync() -> list[str]:
    async with AsyncSession(engine) as session:
        return await session.run_sync(_names)


@router.get("/run-sync/fixed")
async def run_sync_fixed() -> list[str]:
    async with AsyncSession(engine) as session:
        found = await session.scalars(select(Line).order_by(Line.id).limit(8).options(selectinload(Line.product)))
        return [line.product.name for line in found]


async def _product(number: int) -> str:
    async with AsyncSession(engine) as session:
        product = await session.get(Product, number)  # MARK async-gather
        return product.name if product is not None else ""


@router.get("/gather")
async def gather() -> list[str]:
    async with AsyncSession(engine) as session:
        wanted = (await session.scalars(select(Line.product_id).order_by(Line.id).limit(8))).all()
    return await asyncio.gather(*(_product(number) for number in wanted))


@router.get("/gather/fixed")
async def gather_fixed() -> list[str]:
    async with AsyncSession(engine) as session:
        wanted = (await session.scalars(select(Line.product_id).order_by(Line.id).limit(8))).all()
        return [product.name for product in await session.scalars(select(Product).where(Product.id.in_(wanted)))]


@router.get("/ids")
async def ids(of: Annotated[list[int], Query()] = [1, 2, 3, 4, 5, 6]) -> list[str]:  # noqa: B006 - FastAPI copies it
    async with AsyncSession(engine) as session:
        names = []
        for number in of:
            product = await session.get(Product, number)  # MARK async-ids
            names.append(product.name if product is not None else "")
        return names


@router.get("/ids/fixed")
async def ids_fixed(of: Annotated[list[int], Query()] = [1, 2, 3, 4, 5, 6]) -> list[str]:  # noqa: B006 - likewise
    async with AsyncSession(engine) as session:
        return [product.name for product in await session.scalars(select(Product).where(Product.id.in_(of)))]


@router.get("/raw")
async def raw() -> list[str]:
    async with engine.connect() as connection:
        names = []
        for (number,) in (await connection.execute(text("SELECT product_id FROM line ORDER BY id LIMIT 8"))).all():
            asked = text("SELECT name FROM product WHERE id = :number")
            names.append(await connection.scalar(asked, {"number": number}))  # MARK async-raw
        return names


@router.get("/raw/fixed")
async def raw_fixed() -> list[str]:
    async with engine.connect() as connection:
        joined = text("SELECT name FROM product JOIN line ON product_id = product.id ORDER BY line.id LIMIT 8")
        return [name for (name,) in await connection.execute(joined)]

"""
What customers bought: a customer's latest orders, one order with its lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from .models import Customer, Order, OrderLine

LATEST_COUNT = 20


async def customer_by_email(session: AsyncSession, email: str) -> Customer | None:
    """
    Return the customer with that address.
    """
    return await session.scalar(select(Customer).where(Customer.email == email))


async def latest_of(session: AsyncSession, customer_id: int) -> Sequence[Order]:
    """
    Return a customer's latest orders, newest first, without their lines.
    """
    orders = await session.scalars(
        select(Order).where(Order.customer_id == customer_id).order_by(Order.created_at.desc()).limit(LATEST_COUNT)
    )
    return orders.all()


async def order_with_lines(session: AsyncSession, order_id: int) -> Order | None:
    """
    Return an order with its customer, its lines and their products loaded.
    """
    return await session.get(
        Order,
        order_id,
        options=[joinedload(Order.customer), selectinload(Order.lines).joinedload(OrderLine.product)],
    )

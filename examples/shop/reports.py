"""
What sells: the last thirty days by category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from .models import Order, OrderLine, Product

REPORT_DAYS = 30


@dataclass(frozen=True, slots=True)
class CategorySales:
    """
    One category's share of the sales.
    """

    category: str
    order_count: int
    item_count: int
    amount: Decimal


async def sales_by_category(session: AsyncSession) -> Sequence[CategorySales]:
    """
    Return each category's sales of the last REPORT_DAYS days, the largest first.
    """
    amount = func.sum(OrderLine.unit_price * OrderLine.quantity)
    rows = await session.execute(
        select(Product.category, func.count(Order.id.distinct()), func.sum(OrderLine.quantity), amount)
        .join(OrderLine.product)
        .join(OrderLine.order)
        .where(Order.created_at >= func.now() - timedelta(days=REPORT_DAYS))
        .group_by(Product.category)
        .order_by(amount.desc())
    )
    return [CategorySales(*row) for row in rows]

"""
What is for sale: the front page's newest products, categories, one product with its reviews.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from .models import Product

NEWEST_COUNT = 40
PAGE_SIZE = 30


@dataclass(frozen=True, slots=True)
class Card:
    """
    A product as lists show it; *stars* is the mean of its reviews, None when there is none.
    """

    id: int
    name: str
    category: str
    price: Decimal
    stars: float | None
    review_count: int


async def newest(session: AsyncSession) -> list[Card]:
    """
    Return the newest products, each with what its reviews say.
    """
    products = await session.scalars(select(Product).order_by(Product.created_at.desc()).limit(NEWEST_COUNT))
    return [await _card(product) for product in products]


async def _card(product: Product) -> Card:
    reviews = await product.awaitable_attrs.reviews
    stars = sum(review.stars for review in reviews) / len(reviews) if reviews else None
    return Card(product.id, product.name, product.category, product.price, stars, len(reviews))


async def categories(session: AsyncSession) -> Sequence[str]:
    """
    Return the names of all categories, in alphabetical order.
    """
    found = await session.scalars(select(Product.category).distinct().order_by(Product.category))
    return found.all()


async def in_category(session: AsyncSession, category: str, *, page: int) -> tuple[Sequence[Product], int]:
    """
    Return one page of a category by name, and how many products the category has; pages count from 1.
    """
    chosen = Product.category == category
    products = await session.scalars(
        select(Product).where(chosen).order_by(Product.name).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)
    )
    count = await session.scalar(select(func.count()).select_from(Product).where(chosen))
    return products.all(), count or 0


async def product_with_reviews(session: AsyncSession, product_id: int) -> Product | None:
    """
    Return a product, its reviews loaded, newest first.
    """
    return await session.get(Product, product_id, options=[selectinload(Product.reviews)])

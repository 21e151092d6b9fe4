"""
The pages' JSON twins, under /api.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict

from . import catalogue, checkout, orders, reports
from .db import Session
from .models import Customer

router = APIRouter(prefix="/api")

RowId = Annotated[int, Path(ge=1, le=checkout.ID_MAX)]


class FromRow(BaseModel):
    """
    A value read off the attributes of a row.
    """

    model_config = ConfigDict(from_attributes=True)


class CardOut(FromRow):
    id: int
    name: str
    category: str
    price: Decimal
    stars: float | None
    review_count: int


class ReviewOut(FromRow):
    stars: int
    body: str
    created_at: datetime


class ProductOut(FromRow):
    id: int
    name: str
    category: str
    description: str
    price: Decimal
    stock: int
    reviews: list[ReviewOut]


class OrderOut(FromRow):
    id: int
    customer_id: int
    created_at: datetime
    status: str
    total: Decimal
    currency: str


class LineOut(FromRow):
    position: int
    product_id: int
    quantity: int
    unit_price: Decimal


class OrderWithLinesOut(OrderOut):
    lines: list[LineOut]


class CategorySalesOut(FromRow):
    category: str
    order_count: int
    item_count: int
    amount: Decimal


@router.get("/products")
async def newest_products(session: Session) -> list[CardOut]:
    return [CardOut.model_validate(card) for card in await catalogue.newest(session)]


@router.get("/products/{product_id}")
async def product(session: Session, product_id: RowId) -> ProductOut:
    found = await catalogue.product_with_reviews(session, product_id)
    if found is None:
        raise HTTPException(404, f"there is no product {product_id}")
    return ProductOut.model_validate(found)


@router.get("/customers/{customer_id}/orders")
async def customer_orders(session: Session, customer_id: RowId) -> list[OrderOut]:
    if await session.get(Customer, customer_id) is None:
        raise HTTPException(404, f"there is no customer {customer_id}")
    return [OrderOut.model_validate(order) for order in await orders.latest_of(session, customer_id)]


@router.get("/orders/{order_id}")
async def order(session: Session, order_id: RowId) -> OrderWithLinesOut:
    found = await orders.order_with_lines(session, order_id)
    if found is None:
        raise HTTPException(404, f"there is no order {order_id}")
    return OrderWithLinesOut.model_validate(found)


@router.post("/checkout", status_code=201)
async def place_order(session: Session, basket: checkout.Basket) -> OrderOut:
    try:
        placed = await checkout.place_order(session, basket)
    except checkout.CheckoutRefused as refused:
        raise HTTPException(422, refused.errors) from refused
    return OrderOut.model_validate(placed)


@router.get("/reports/sales")
async def sales_report(session: Session) -> list[CategorySalesOut]:
    return [CategorySalesOut.model_validate(sales) for sales in await reports.sales_by_category(session)]

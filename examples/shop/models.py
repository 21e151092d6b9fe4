"""
The shop's tables as classes.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, DateTime, ForeignKey, Numeric, SmallInteger, String, Text, func
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    """
    What all tables share: numbers are bigint, text is text, moments have a time zone.
    """

    type_annotation_map = {int: BigInteger, str: Text, datetime: DateTime(timezone=True)}  # noqa: RUF012


class Customer(Base):
    """
    Somebody who orders.
    """

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    street: Mapped[str]
    postcode: Mapped[str]
    city: Mapped[str]
    country: Mapped[str] = mapped_column(String(2))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    orders: Mapped[list[Order]] = relationship(back_populates="customer")


class Product(Base):
    """
    Something for sale, with how many are left.
    """

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str]
    description: Mapped[str]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    stock: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    reviews: Mapped[list[Review]] = relationship(back_populates="product", order_by="Review.created_at.desc()")


class Review(Base):
    """
    What a customer thinks of a product.
    """

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    stars: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    product: Mapped[Product] = relationship(back_populates="reviews")


class Order(Base):
    """
    What a customer bought at one time, and where it goes.
    """

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(server_default="paid")
    currency: Mapped[str] = mapped_column(String(3), server_default="EUR")
    total: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    payment: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    shipped_at: Mapped[datetime | None]
    ship_to: Mapped[str]
    street: Mapped[str]
    postcode: Mapped[str]
    city: Mapped[str]
    country: Mapped[str] = mapped_column(String(2))
    email: Mapped[str]
    tracking_code: Mapped[str | None]
    note: Mapped[str | None]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))

    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list[OrderLine]] = relationship(back_populates="order", order_by="OrderLine.position")


class OrderLine(Base):
    """
    One product of an order, at the price of that day.
    """

    __tablename__ = "order_lines"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Numeric(10, 2))

    order: Mapped[Order] = relationship(back_populates="lines")
    product: Mapped[Product] = relationship()

    @property
    def amount(self) -> Decimal:
        """
        Return what the line costs.
        """
        return self.quantity * self.unit_price

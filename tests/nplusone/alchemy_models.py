"""
The tables as SQLAlchemy has them.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    """
    All of them.
    """


class Customer(Base):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


product_tags = Table(
    "product_tags",
    Base.metadata,
    Column("product_id", ForeignKey("product.id")),
    Column("tag_id", ForeignKey("tag.id")),
)


class Tag(Base):
    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Product(Base):
    __tablename__ = "product"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    story: Mapped[str]

    tags: Mapped[list[Tag]] = relationship(secondary=product_tags)
    reviews: Mapped[list[Review]] = relationship()


class Review(Base):
    __tablename__ = "review"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    stars: Mapped[int]
    day: Mapped[dt.date]


class Purchase(Base):
    __tablename__ = "purchase"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    state: Mapped[str]
    note: Mapped[str] = mapped_column(deferred=True)

    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[Line]] = relationship(back_populates="purchase")
    invoice: Mapped[Invoice] = relationship(back_populates="purchase")

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)  # MARK property


class Line(Base):
    __tablename__ = "line"

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchase.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    amount: Mapped[int]

    purchase: Mapped[Purchase] = relationship(back_populates="lines")
    product: Mapped[Product] = relationship()


class Invoice(Base):
    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchase.id"))
    number: Mapped[str]

    purchase: Mapped[Purchase] = relationship(back_populates="invoice")

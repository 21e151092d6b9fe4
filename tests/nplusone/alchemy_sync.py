"""
SQLAlchemy, sync: each route asks one by one, its twin at /fixed does not.
"""

from __future__ import annotations

import os
from pathlib import Path

import jinja2
from alchemy_models import Customer, Line, Product, Purchase, Review
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, exists, func, make_url, select, text, update
from sqlalchemy.orm import Session, joinedload, selectinload, undefer

engine = create_engine(make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg"), pool_size=5)
router = APIRouter()
pages = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)

LATEST = select(Purchase).order_by(Purchase.id.desc()).limit(8)
NEWEST = select(Product).order_by(Product.id.desc()).limit(8)


class LineOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    amount: int


class PurchaseOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    lines: list[LineOut]


@router.get("/to-one")
def to_one() -> list[str]:
    with Session(engine) as session:
        names = []
        for purchase in session.scalars(LATEST):
            names.append(purchase.customer.name)  # MARK to-one
        return names


@router.get("/to-one/fixed")
def to_one_fixed() -> list[str]:
    with Session(engine) as session:
        found = session.scalars(LATEST.options(joinedload(Purchase.customer)))
        return [purchase.customer.name for purchase in found]


@router.get("/to-many")
def to_many() -> list[int]:
    with Session(engine) as session:
        found = session.scalars(LATEST).all()
        return [len(purchase.lines) for purchase in found]  # MARK to-many


@router.get("/to-many/fixed")
def to_many_fixed() -> list[int]:
    with Session(engine) as session:
        found = session.scalars(LATEST.options(selectinload(Purchase.lines))).all()
        return [len(purchase.lines) for purchase in found]


@router.get("/nested")
def nested() -> list[str]:
    with Session(engine) as session:
        names = []
        for purchase in session.scalars(LATEST):
            for line in purchase.lines:  # MARK nested-outer
                names.append(line.product.name)  # MARK nested-inner
        return names


@router.get("/nested/fixed")
def nested_fixed() -> list[str]:
    with Session(engine) as session:
        found = session.scalars(LATEST.options(selectinload(Purchase.lines).joinedload(Line.product)))
        return [line.product.name for purchase in found for line in purchase.lines]


@router.get("/template")
def template() -> Response:
    with Session(engine) as session:
        return Response(pages.get_template("purchases.html").render(purchases=session.scalars(LATEST).all()))


@router.get("/template/fixed")
def template_fixed() -> Response:
    with Session(engine) as session:
        found = session.scalars(LATEST.options(selectinload(Purchase.customer))).all()
        return Response(pages.get_template("purchases.html").render(purchases=found))


@router.get("/serializer")
def serializer() -> list[PurchaseOut]:
    with Session(engine) as session:
        found = session.scalars(LATEST).all()
        return [PurchaseOut.model_validate(purchase) for purchase in found]  # MARK serializer


@router.get("/serializer/fixed")
def serializer_fixed() -> list[PurchaseOut]:
    with Session(engine) as session:
        found = session.scalars(LATEST.options(selectinload(Purchase.lines))).all()
        return [PurchaseOut.model_validate(purchase) for purchase in found]


@router.get("/property")
def of_property() -> list[int]:
    with Session(engine) as session:
        return [purchase.amount for purchase in session.scalars(LATEST)]


@router.get("/property/fixed")
def of_property_fixed() -> list[int]:
    with Session(engine) as session:
        return [purchase.amount for purchase in session.scalars(LATEST.options(selectinload(Purchase.lines)))]


@router.get("/get")
def get() -> list[str]:
    with Session(engine) as session:
        wanted = session.scalars(select(Line.product_id).limit(8)).all()
        products = [session.get(Product, number) for number in wanted]  # MARK get
        return [product.name for product in products if product is not None]


@router.get("/get/fixed")
def get_fixed() -> list[str]:
    with Session(engine) as session:
        wanted = session.scalars(select(Line.product_id).limit(8)).all()
        return [product.name for product in session.scalars(select(Product).where(Product.id.in_(wanted)))]


@router.get("/count")
def count() -> list[int | None]:
    with Session(engine) as session:
        counts = []
        for purchase in session.scalars(LATEST).all():
            lines = select(func.count()).select_from(Line).where(Line.purchase_id == purchase.id)
            counts.append(session.scalar(lines))  # MARK count
        return counts


@router.get("/count/fixed")
def count_fixed() -> list[int]:
    with Session(engine) as session:
        found = session.scalars(LATEST).all()
        lines = select(Line.purchase_id, func.count()).where(Line.purchase_id.in_([each.id for each in found]))
        counts = dict(session.execute(lines.group_by(Line.purchase_id)).tuples().all())
        return [counts.get(each.id, 0) for each in found]


@router.get("/exists")
def any_line() -> list[bool | None]:
    with Session(engine) as session:
        found = session.scalars(LATEST).all()
        return [
            session.scalar(select(exists().where(Line.purchase_id == purchase.id)))  # MARK exists
            for purchase in found
        ]


@router.get("/exists/fixed")
def any_line_fixed() -> list[bool]:
    with Session(engine) as session:
        has_lines = exists().where(Line.purchase_id == Purchase.id)
        return [has for _, has in session.execute(LATEST.add_columns(has_lines))]


@router.get("/aggregate")
def aggregate() -> list[float]:
    with Session(engine) as session:
        stars = []
        for product in session.scalars(NEWEST).all():
            mean = select(func.avg(Review.stars)).where(Review.product_id == product.id)
            stars.append(float(session.scalars(mean).one()))  # MARK aggregate
        return stars


@router.get("/aggregate/fixed")
def aggregate_fixed() -> list[float]:
    with Session(engine) as session:
        mean = select(func.avg(Review.stars)).where(Review.product_id == Product.id).scalar_subquery()
        return [float(stars) for _, stars in session.execute(NEWEST.add_columns(mean))]


@router.get("/first")
def first() -> list[int]:
    with Session(engine) as session:
        stars = []
        for product in session.scalars(NEWEST).all():
            latest = select(Review).where(Review.product_id == product.id).order_by(Review.day.desc()).limit(1)
            review = session.scalars(latest).first()  # MARK first
            stars.append(review.stars if review else 0)
        return stars


@router.get("/first/fixed")
def first_fixed() -> list[int]:
    with Session(engine) as session:
        found = session.scalars(NEWEST).all()
        latest = (
            select(Review)
            .where(Review.product_id.in_([product.id for product in found]))
            .distinct(Review.product_id)
            .order_by(Review.product_id, Review.day.desc())
        )
        return [review.stars for review in session.scalars(latest)]


@router.get("/many-to-many")
def many_to_many() -> list[list[str]]:
    with Session(engine) as session:
        return [[tag.name for tag in product.tags] for product in session.scalars(NEWEST)]  # MARK many-to-many


@router.get("/many-to-many/fixed")
def many_to_many_fixed() -> list[list[str]]:
    with Session(engine) as session:
        found = session.scalars(NEWEST.options(selectinload(Product.tags)))
        return [[tag.name for tag in product.tags] for product in found]


@router.get("/raw")
def raw() -> list[str]:
    with Session(engine) as session:
        names = []
        for number in session.scalars(text("SELECT product_id FROM line ORDER BY id LIMIT 8")).all():
            asked = text("SELECT name FROM product WHERE id = :number")
            names.append(session.execute(asked, {"number": number}).scalar_one())  # MARK raw
        return names


@router.get("/raw/fixed")
def raw_fixed() -> list[str]:
    with Session(engine) as session:
        wanted = session.scalars(text("SELECT product_id FROM line ORDER BY id LIMIT 8")).all()
        asked = text("SELECT name FROM product WHERE id = ANY(:numbers)")
        return list(session.scalars(asked, {"numbers": list(wanted)}))


@router.get("/deferred")
def deferred() -> list[str]:
    with Session(engine) as session:
        return [purchase.note for purchase in session.scalars(LATEST).all()]  # MARK deferred


@router.get("/deferred/fixed")
def deferred_fixed() -> list[str]:
    with Session(engine) as session:
        return [purchase.note for purchase in session.scalars(LATEST.options(undefer(Purchase.note)))]


@router.get("/reverse-one-to-one")
def reverse_one_to_one() -> list[str]:
    with Session(engine) as session:
        numbers = []
        for purchase in session.scalars(LATEST).all():
            invoice = purchase.invoice  # MARK reverse-one-to-one
            numbers.append(invoice.number)
        return numbers


@router.get("/reverse-one-to-one/fixed")
def reverse_one_to_one_fixed() -> list[str]:
    with Session(engine) as session:
        found = session.scalars(LATEST.options(joinedload(Purchase.invoice)))
        return [purchase.invoice.number for purchase in found]


@router.get("/asked-before")
def asked_before() -> list[str]:
    with Session(engine) as session:
        viewer = session.get(Customer, 1)
        assert viewer is not None
        names = [viewer.name]
        for purchase in session.scalars(LATEST):
            names.append(purchase.customer.name)  # MARK asked-before
        return names


@router.get("/asked-before/fixed")
def asked_before_fixed() -> list[str]:
    with Session(engine) as session:
        viewer = session.get(Customer, 1)
        assert viewer is not None
        found = session.scalars(LATEST.options(joinedload(Purchase.customer)))
        return [viewer.name, *(purchase.customer.name for purchase in found)]


@router.get("/update")
def update_each() -> int:
    with Session(engine) as session:
        for purchase in session.scalars(LATEST).all():
            session.execute(update(Purchase).where(Purchase.id == purchase.id).values(state="seen"))  # MARK update
        session.commit()
    return 0


@router.get("/update/fixed")
def update_each_fixed() -> int:
    with Session(engine) as session:
        wanted = session.scalars(LATEST.with_only_columns(Purchase.id)).all()
        session.execute(update(Purchase).where(Purchase.id.in_(wanted)).values(state="seen"))
        session.commit()
    return 0

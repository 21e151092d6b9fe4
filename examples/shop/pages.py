"""
The pages, as HTML.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from . import catalogue, checkout, orders, reports
from .db import Session
from .models import Customer, Product

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
templates.env.filters["money"] = lambda amount, currency="EUR": f"{amount:,.2f} {currency}"
templates.env.filters["day"] = lambda moment: f"{moment:%d %b %Y}"
templates.env.filters["stars"] = lambda stars: "★" * round(stars) + "☆" * (5 - round(stars))

RowId = Annotated[int, InPath(ge=1, le=checkout.ID_MAX)]
Text = Annotated[str, Form()]


def show(request: Request, template: str, *, status_code: int = 200, **values: object) -> Response:
    """
    Return the page that *template* makes of *values*.
    """
    return templates.TemplateResponse(request, template, values, status_code=status_code)


@router.get("/")
async def home(request: Request, session: Session) -> Response:
    """
    The newest products, and the way to all others.
    """
    categories = await catalogue.categories(session)
    return show(request, "home.html", cards=await catalogue.newest(session), categories=categories)


@router.get("/categories/{category}")
async def category(
    request: Request, session: Session, category: str, page: Annotated[int, Query(ge=1, le=100_000)] = 1
) -> Response:
    """
    A category's products by name, page by page.
    """
    products, count = await catalogue.in_category(session, category, page=page)
    if not products:
        raise HTTPException(404)
    pages = math.ceil(count / catalogue.PAGE_SIZE)
    return show(request, "category.html", category=category, products=products, count=count, page=page, pages=pages)


@router.get("/products/{product_id}")
async def product(request: Request, session: Session, product_id: RowId) -> Response:
    """
    A product with its reviews.
    """
    found = await catalogue.product_with_reviews(session, product_id)
    if found is None:
        raise HTTPException(404)
    return show(request, "product.html", product=found, quantity_max=checkout.QUANTITY_MAX)


@router.get("/account")
async def account(request: Request, session: Session, email: str | None = None) -> Response:
    """
    Ask for an address, and lead to the orders of the customer who has it.
    """
    if email is None:
        return show(request, "account.html", email="", error=None)
    customer = await orders.customer_by_email(session, email.strip())
    if customer is None:
        return show(request, "account.html", status_code=422, email=email, error="No customer has that address.")
    return RedirectResponse(f"/customers/{customer.id}/orders", status_code=303)


@router.get("/customers/{customer_id}/orders")
async def customer_orders(request: Request, session: Session, customer_id: RowId) -> Response:
    """
    A customer's latest orders.
    """
    customer = await session.get(Customer, customer_id)
    if customer is None:
        raise HTTPException(404)
    latest = await orders.latest_of(session, customer_id)
    return show(request, "customer_orders.html", customer=customer, orders=latest)


@router.get("/orders/{order_id}")
async def order(request: Request, session: Session, order_id: RowId) -> Response:
    """
    An order with its lines.
    """
    found = await orders.order_with_lines(session, order_id)
    if found is None:
        raise HTTPException(404)
    return show(request, "order.html", order=found)


@router.get("/cart")
async def cart(request: Request, session: Session, product: str = "", quantity: str = "1") -> Response:
    """
    What is about to be bought, with the form that buys it.
    """
    fields = {"customer": "", "product": product, "quantity": quantity}
    return await _show_cart(request, session, fields, errors={})


@router.post("/checkout")
async def place_order(
    request: Request, session: Session, customer: Text = "", product: Text = "", quantity: Text = ""
) -> Response:
    """
    Buy it and go to the order's page; or show what is wrong with the form.
    """
    fields = {"customer": customer, "product": product, "quantity": quantity}
    try:
        placed = await checkout.place_order(session, checkout.read_basket(fields))
    except checkout.CheckoutRefused as refused:
        return await _show_cart(request, session, fields, errors=refused.errors)
    return RedirectResponse(f"/orders/{placed.id}", status_code=303)


async def _show_cart(request: Request, session: Session, fields: dict[str, str], *, errors: dict[str, str]) -> Response:
    number = fields["product"]
    wanted = int(number) if number.isascii() and number.isdigit() else 0
    chosen = await session.get(Product, wanted) if 0 < wanted <= checkout.ID_MAX else None
    return show(
        request,
        "cart.html",
        status_code=422 if errors else 200,
        fields=fields,
        errors=errors,
        product=chosen,
        quantity_max=checkout.QUANTITY_MAX,
    )


@router.get("/reports/sales")
async def sales_report(request: Request, session: Session) -> Response:
    """
    The last thirty days' sales by category.
    """
    sales = await reports.sales_by_category(session)
    return show(
        request, "sales.html", sales=sales, days=reports.REPORT_DAYS, total=sum(category.amount for category in sales)
    )

"""
Buying: check what was asked for, take it from stock, write the order, confirm it by mail.
"""

from __future__ import annotations

import logging
import secrets

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from . import mail
from .models import Customer, Order, OrderLine, Product

QUANTITY_MAX = 20
ID_MAX = 2**63 - 1

log = logging.getLogger(__name__)


class Basket(BaseModel):
    """
    What somebody wants to buy: so many of one product.
    """

    customer: int = Field(ge=1, le=ID_MAX)
    product: int = Field(ge=1, le=ID_MAX)
    quantity: int = Field(ge=1, le=QUANTITY_MAX)


class CheckoutRefused(Exception):
    """
    The order was not placed; *errors* has a sentence for each field that is the reason.
    """

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


WRONG_FIELD = {
    "customer": "Please give your customer number.",
    "product": "Please choose a product.",
    "quantity": f"Please choose a quantity between 1 and {QUANTITY_MAX}.",
}


def read_basket(fields: dict[str, str]) -> Basket:
    """
    Return the basket that a form holds.

    Raises:
        CheckoutRefused: with a sentence for each field that is missing or wrong.
    """
    try:
        return Basket.model_validate(fields)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()}
        raise CheckoutRefused({field: WRONG_FIELD[field] for field in WRONG_FIELD if field in wrong}) from error


async def place_order(session: AsyncSession, basket: Basket) -> Order:
    """
    Place the order and confirm it by mail; return it.

    Raises:
        CheckoutRefused: customer or product do not exist, or too few are left.
    """
    customer = await session.get(Customer, basket.customer)
    # Locked until the commit, or two buyers could take the last one.
    product = await session.scalar(select(Product).where(Product.id == basket.product).with_for_update())
    if customer is None or product is None:
        errors = {"customer": "There is no customer with that number."} if customer is None else {}
        raise CheckoutRefused(errors | ({"product": "There is no such product."} if product is None else {}))
    if product.stock < basket.quantity:
        raise CheckoutRefused({"quantity": f"Only {product.stock} left."})

    product.stock -= basket.quantity
    order = Order(
        customer_id=customer.id,
        total=basket.quantity * product.price,
        payment=f"pay_{secrets.token_hex(16)}",
        ship_to=customer.name,
        street=customer.street,
        postcode=customer.postcode,
        city=customer.city,
        country=customer.country,
        email=customer.email,
        lines=[OrderLine(position=1, product_id=product.id, quantity=basket.quantity, unit_price=product.price)],
    )
    session.add(order)
    await session.commit()

    try:
        await mail.send_confirmation(order)
    except OSError:
        # The order stands; the customer sees it on the page.
        log.exception("no confirmation sent for order %s", order.id)
    return order

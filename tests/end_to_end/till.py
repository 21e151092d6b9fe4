"""
A till: an app with sessions, parameters and writes, and nothing behind it.
"""

from __future__ import annotations

import itertools

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel

PRODUCTS_MAX = 50

app = FastAPI()
tickets = itertools.count(1)


class Sale(BaseModel):
    """
    What is sold.
    """

    product: int


def _known(request: Request, response: Response) -> None:
    if "session" not in request.cookies:
        response.set_cookie("session", f"visitor-{next(tickets):08d}", httponly=True)


@app.get("/")
async def home(request: Request, response: Response) -> str:
    """
    Greet, and give those who have no session one.
    """
    _known(request, response)
    return "welcome"


@app.get("/products/{product_id}")
async def product(product_id: int, request: Request, response: Response) -> int:
    """
    Return a product there is.
    """
    _known(request, response)
    if not 1 <= product_id <= PRODUCTS_MAX:
        raise HTTPException(404)
    return product_id


@app.post("/sales")
async def sell(sale: Sale) -> int:
    """
    Sell a product.
    """
    return sale.product


@app.get("/health")
async def health() -> str:
    """
    Tell the load balancer.
    """
    return "fine"

"""
The other sync app: Django's ORM on psycopg, under gunicorn's sync workers.

In        GAUNTLET_FAULTS, CONN_MAX_AGE
Out       the app
Not here  which scenario has which fault (scenarios.py)
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import models
from django.http import JsonResponse
from django.urls import path

FAULTS = frozenset(os.environ.get("GAUNTLET_FAULTS", "").split(","))
_server = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="gauntlet",  # noqa: S106 - nothing is signed
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": _server.path.lstrip("/"), "USER": _server.username,
            "PASSWORD": unquote(_server.password or ""), "HOST": _server.hostname, "PORT": _server.port,
            "CONN_MAX_AGE": 0 if "connect" in FAULTS else None,
        },
    },
)  # fmt: skip
django.setup()


class Product(models.Model):
    """
    A thing for sale.
    """

    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    text = models.TextField()

    class Meta:
        """
        Where it belongs.
        """

        app_label = "gauntlet"
        db_table = "product"

    def __str__(self) -> str:
        return self.name


class CartLine(models.Model):
    """
    A product in a cart.
    """

    cart_id = models.IntegerField()
    product = models.ForeignKey(Product, primary_key=True, on_delete=models.DO_NOTHING)

    class Meta:
        """
        Where it belongs.
        """

        app_label = "gauntlet"
        db_table = "cart_line"

    def __str__(self) -> str:
        return f"{self.cart_id}"


class Order(models.Model):
    """
    An order.
    """

    id = models.IntegerField(primary_key=True)
    customer_id = models.IntegerField()
    created_at = models.DateTimeField()
    total = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        """
        Where it belongs.
        """

        app_label = "gauntlet"
        db_table = "orders"

    def __str__(self) -> str:
        return f"{self.id}"


def cart(_request: Any, number: int) -> JsonResponse:
    """
    Show a cart, product by product where the fault is in.
    """
    lines = CartLine.objects.filter(cart_id=number)
    if "nplusone" not in FAULTS:
        lines = lines.select_related("product")
    return JsonResponse({"names": [line.product.name for line in lines]})


def orders(_request: Any, number: int) -> JsonResponse:
    """
    Show a customer's newest orders.
    """
    found = Order.objects.filter(customer_id=number).order_by("-created_at").values("id", "created_at", "total")
    return JsonResponse({"orders": [{name: str(row[name]) for name in row} for row in found[:20]]})


def product(_request: Any, number: int) -> JsonResponse:
    """
    Show one product.
    """
    return JsonResponse({"name": Product.objects.get(pk=number).name})


def order(_request: Any, number: int) -> JsonResponse:
    """
    Show one order.
    """
    return JsonResponse({"total": str(Order.objects.get(pk=number).total)})


def health(_request: Any) -> JsonResponse:
    """
    Say that it is up.
    """
    return JsonResponse({"up": True})


urlpatterns = [
    path("health", health),
    path("cart/<int:number>", cart),
    path("orders/<int:number>", orders),
    path("products/<int:number>", product),
    path("customers/<int:number>", order),
]
app = WSGIHandler()

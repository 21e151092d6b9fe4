"""
The page of the Django site: it asks for one row after the other, as a list does that forgot to ask for all at once.

In        a request
Out       HTML after as many statements as the path says
Not here  settings (django_app.py)
"""

from __future__ import annotations

import itertools
from typing import Any

from django.db import models
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path

ROWS = 10_000  # reads are sampled by their parameters
_numbers = itertools.count()


class Product(models.Model):
    """
    A row that the page asks for.
    """

    name = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        """
        Where it belongs.
        """

        app_label = "overhead"
        db_table = "overhead_product"

    def __str__(self) -> str:
        return str(self.name)


def page(request: Any, count: int) -> HttpResponse:
    """
    Render *count* products.
    """
    first = next(_numbers) * 7
    products = [Product.objects.get(pk=(first + number) % ROWS + 1) for number in range(count)]
    return render(request, "products.html", {"products": products})


urlpatterns = [path("statements/<int:count>", page)]

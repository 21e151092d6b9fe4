"""
Django: each view asks one by one, its twin at /fixed does not.
"""

from django.db import connection
from django.db.models import Avg, Count, Exists, OuterRef, Subquery
from django.http import JsonResponse
from django.shortcuts import render
from pages_site.models import Customer, Line, Product, Purchase, Review


def _latest():
    return Purchase.objects.order_by("-id")


def answer(found):
    return JsonResponse({"found": found})


def to_one(request):
    names = []
    for purchase in Purchase.objects.order_by("-id")[:8]:
        names.append(purchase.customer.name)  # MARK to-one
    return answer(names)


def to_one_fixed(request):
    return answer([purchase.customer.name for purchase in _latest().select_related("customer")[:8]])


def to_many(request):
    purchases = Purchase.objects.order_by("-id")[:8]
    return answer([len(purchase.lines.all()) for purchase in purchases])  # MARK to-many


def to_many_fixed(request):
    return answer([len(purchase.lines.all()) for purchase in _latest().prefetch_related("lines")[:8]])


def nested(request):
    names = []
    for purchase in _latest()[:8]:
        for line in purchase.lines.all():  # MARK nested-outer
            names.append(line.product.name)  # MARK nested-inner
    return answer(names)


def nested_fixed(request):
    found = _latest().prefetch_related("lines__product")[:8]
    return answer([line.product.name for purchase in found for line in purchase.lines.all()])


def template(request):
    return render(request, "purchases.html", {"purchases": _latest()[:8]})


def template_fixed(request):
    return render(request, "purchases.html", {"purchases": _latest().select_related("customer")[:8]})


class PurchaseSerializer:
    """
    As a framework of serializers has it: a field is a method of its own.
    """

    fields = ("id", "customer")

    def __init__(self, purchase):
        self.purchase = purchase

    def get_id(self):
        return self.purchase.id

    def get_customer(self):
        return self.purchase.customer.name  # MARK serializer

    @property
    def data(self):
        return {field: getattr(self, f"get_{field}")() for field in self.fields}


def serializer(request):
    return answer([PurchaseSerializer(purchase).data for purchase in _latest()[:8]])


def serializer_fixed(request):
    return answer([PurchaseSerializer(purchase).data for purchase in _latest().select_related("customer")[:8]])


def of_property(request):
    return answer([purchase.amount for purchase in _latest()[:8]])


def of_property_fixed(request):
    return answer([purchase.amount for purchase in _latest().prefetch_related("lines")[:8]])


def get(request):
    wanted = list(Line.objects.values_list("product_id", flat=True)[:8])
    return answer([Product.objects.get(pk=number).name for number in wanted])  # MARK get


def get_fixed(request):
    wanted = list(Line.objects.values_list("product_id", flat=True)[:8])
    return answer([product.name for product in Product.objects.in_bulk(wanted).values()])


def count(request):
    counts = []
    for purchase in _latest()[:8]:
        counts.append(purchase.lines.count())  # MARK count
    return answer(counts)


def count_fixed(request):
    return answer([purchase.line_count for purchase in _latest().annotate(line_count=Count("lines"))[:8]])


def any_line(request):
    return answer([purchase.lines.exists() for purchase in _latest()[:8]])  # MARK exists


def any_line_fixed(request):
    has_lines = Exists(Line.objects.filter(purchase=OuterRef("pk")))
    return answer([purchase.has_lines for purchase in _latest().annotate(has_lines=has_lines)[:8]])


def aggregate(request):
    found = Product.objects.order_by("-id")[:8]
    return answer([product.reviews.aggregate(stars=Avg("stars"))["stars"] for product in found])  # MARK aggregate


def aggregate_fixed(request):
    return answer([each.stars for each in Product.objects.order_by("-id").annotate(stars=Avg("reviews__stars"))[:8]])


def first(request):
    stars = []
    for product in Product.objects.order_by("-id")[:8]:
        review = product.reviews.order_by("-day").first()  # MARK first
        stars.append(review.stars)
    return answer(stars)


def first_fixed(request):
    latest = Review.objects.filter(product=OuterRef("pk")).order_by("-day").values("stars")[:1]
    return answer([each.stars for each in Product.objects.order_by("-id").annotate(stars=Subquery(latest))[:8]])


def many_to_many(request):
    found = Product.objects.order_by("-id")[:8]
    return answer([[tag.name for tag in product.tags.all()] for product in found])  # MARK many-to-many


def many_to_many_fixed(request):
    found = Product.objects.order_by("-id").prefetch_related("tags")[:8]
    return answer([[tag.name for tag in product.tags.all()] for product in found])


def own_query(request):
    found = Product.objects.order_by("-id")[:8]
    return answer([[review.stars for review in product.reviews.good()] for product in found])  # MARK manager


def own_query_fixed(request):
    found = list(Product.objects.order_by("-id")[:8])
    stars = {product.pk: [] for product in found}
    for review in Review.objects.good().filter(product__in=found):
        stars[review.product_id].append(review.stars)
    return answer(list(stars.values()))


def raw(request):
    names = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT product_id FROM line ORDER BY id LIMIT 8")
        for (number,) in cursor.fetchall():
            cursor.execute("SELECT name FROM product WHERE id = %s", [number])  # MARK raw
            names.append(cursor.fetchone()[0])
    return answer(names)


def raw_fixed(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT product_id FROM line ORDER BY id LIMIT 8")
        wanted = [number for (number,) in cursor.fetchall()]
        cursor.execute("SELECT name FROM product WHERE id = ANY(%s)", [wanted])
        return answer([name for (name,) in cursor.fetchall()])


def only(request):
    return answer([purchase.note for purchase in _latest().only("id")[:8]])  # MARK only


def only_fixed(request):
    return answer([purchase.note for purchase in _latest().only("id", "note")[:8]])


def defer(request):
    return answer([product.story for product in Product.objects.defer("story")[:8]])  # MARK defer


def defer_fixed(request):
    return answer([product.story for product in Product.objects.all()[:8]])


def reverse_one_to_one(request):
    numbers = []
    for purchase in Purchase.objects.order_by("-id")[:8]:
        numbers.append(purchase.invoice.number)  # MARK reverse-one-to-one
    return answer(numbers)


def reverse_one_to_one_fixed(request):
    return answer([purchase.invoice.number for purchase in _latest().select_related("invoice")[:8]])


def asked_before(request):
    viewer = Customer.objects.get(pk=1)
    names = [viewer.name]
    for purchase in _latest()[:8]:
        names.append(purchase.customer.name)  # MARK asked-before
    return answer(names)


def asked_before_fixed(request):
    viewer = Customer.objects.get(pk=1)
    return answer([viewer.name, *(each.customer.name for each in _latest().select_related("customer")[:8])])


def one_parent(request):
    return answer([line.purchase.state for line in Line.objects.filter(purchase__in=[1, 2])])  # MARK one-parent


def one_parent_fixed(request):
    found = Line.objects.filter(purchase__in=[1, 2]).select_related("purchase")
    return answer([line.purchase.state for line in found])


async def asynchronous(request):
    names = []
    async for line in Line.objects.order_by("id")[:8]:
        product = await Product.objects.aget(pk=line.product_id)  # MARK asynchronous
        names.append(product.name)
    return answer(names)


async def asynchronous_fixed(request):
    return answer([line.product.name async for line in Line.objects.order_by("id").select_related("product")[:8]])


def update(request):
    for purchase in _latest()[:8]:
        purchase.state = "seen"
        purchase.save()  # MARK update
    return answer(None)


def update_fixed(request):
    found = list(_latest()[:8])
    for purchase in found:
        purchase.state = "seen"
    Purchase.objects.bulk_update(found, ["state"])
    return answer(None)

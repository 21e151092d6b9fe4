"""
Loops that ask again and again and are no N+1.
"""

from django.core.paginator import Paginator
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum
from pages_site.models import Customer, Event, Invoice, Job, Line, Product, Purchase, Review, Tag
from pages_site.views import answer


def keyset(request):
    after, seen = 0, 0
    while page := list(Event.objects.filter(id__gt=after).order_by("id")[:100]):
        after, seen = page[-1].id, seen + len(page)
    return answer(seen)


def pages(request):
    paginator = Paginator(Event.objects.order_by("name"), 50)
    return answer(sum(len(paginator.page(number).object_list) for number in paginator.page_range))


def retries(request):
    tries = 0
    while True:
        tries += 1
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                # Fails until the fifth try, as a statement that meets a deadlock does.
                cursor.execute("SELECT 1 / GREATEST(0, %s - 4)", [tries])
            return answer(tries)
        except DatabaseError:
            continue


def polling(request):
    looks = 0
    while looks < 6 and Job.objects.get(pk=1).state == "running":
        looks += 1
    return answer(looks)


def batch_of_writes(request):
    with transaction.atomic():
        for number in range(6):
            Tag.objects.bulk_create([Tag(name=f"new {number} {each}") for each in range(10)])
        transaction.set_rollback(True)
    return answer(6)


def different(request):
    paid = Purchase.objects.filter(state="paid")
    return answer(
        [
            paid.count(),
            paid.filter(customer__gt=3).count(),
            paid.filter(note="").count(),
            paid.exclude(note="").count(),
            paid.filter(lines__amount__gt=2).count(),
            Line.objects.aggregate(amount=Sum("amount"))["amount"],
        ]
    )


def tables(request):
    kinds = (Customer, Product, Purchase, Line, Invoice, Review, Tag)
    return answer([kind.objects.count() for kind in kinds])


def chunks(request):
    wanted, seen = list(Line.objects.order_by("id").values_list("product_id", flat=True)), 0
    for begin in range(0, len(wanted), 10):
        seen += len(Product.objects.filter(pk__in=wanted[begin : begin + 10]))
    return answer(seen)


def prefetch(request):
    return answer([len(each.lines.all()) for each in Purchase.objects.prefetch_related("lines__product")])


def same(request):
    return answer([Customer.objects.get(pk=7).name for _ in range(6)])

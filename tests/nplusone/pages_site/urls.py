from django.urls import path
from pages_site import loops, views

CASES = {
    "to-one": (views.to_one, views.to_one_fixed),
    "to-many": (views.to_many, views.to_many_fixed),
    "nested": (views.nested, views.nested_fixed),
    "template": (views.template, views.template_fixed),
    "serializer": (views.serializer, views.serializer_fixed),
    "property": (views.of_property, views.of_property_fixed),
    "get": (views.get, views.get_fixed),
    "count": (views.count, views.count_fixed),
    "exists": (views.any_line, views.any_line_fixed),
    "aggregate": (views.aggregate, views.aggregate_fixed),
    "first": (views.first, views.first_fixed),
    "many-to-many": (views.many_to_many, views.many_to_many_fixed),
    "manager": (views.own_query, views.own_query_fixed),
    "raw": (views.raw, views.raw_fixed),
    "only": (views.only, views.only_fixed),
    "defer": (views.defer, views.defer_fixed),
    "reverse-one-to-one": (views.reverse_one_to_one, views.reverse_one_to_one_fixed),
    "asked-before": (views.asked_before, views.asked_before_fixed),
    "one-parent": (views.one_parent, views.one_parent_fixed),
    "asynchronous": (views.asynchronous, views.asynchronous_fixed),
    "update": (views.update, views.update_fixed),
}
LOOPS = {
    "keyset": loops.keyset,
    "pages": loops.pages,
    "retries": loops.retries,
    "polling": loops.polling,
    "batch-of-writes": loops.batch_of_writes,
    "different": loops.different,
    "tables": loops.tables,
    "chunks": loops.chunks,
    "prefetch": loops.prefetch,
    "same": loops.same,
}

urlpatterns = [
    *(path(name, asks) for name, (asks, _) in CASES.items()),
    *(path(f"{name}/fixed", fixed) for name, (_, fixed) in CASES.items()),
    *(path(f"loop/{name}", loop) for name, loop in LOOPS.items()),
]

"""
A view for each thing that the probe has to get right.  Lines are asked for by their marks.
"""

import asyncio
import multiprocessing
import os
import time
from pathlib import Path

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import transaction
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from django_site.models import Order


def order(request, pk):
    found = get_object_or_404(Order, pk=pk)  # MARK order
    others = list(Order.objects.filter(customer=found.customer).exclude(note="a secret"))  # MARK others
    return JsonResponse({"customer": found.customer, "orders": len(others)})


def write(request):
    with transaction.atomic():
        Order.objects.filter(pk=1).update(note="seen")
    return HttpResponse("written")


def parts(request, shop, item_id):
    return JsonResponse({"shop": shop, "item": item_id})


def archive(request, shop, year, page=None):
    return JsonResponse({"shop": shop, "year": year, "page": page})


def boom(request):
    raise ValueError("a secret of the app")  # MARK boom


def denied(request):
    raise PermissionDenied


def missing(request, pk):
    return get_object_or_404(Order, pk=pk)


def wait(request):
    time.sleep(0.1)
    return HttpResponse("waited")


def compute(request):
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    return HttpResponse("computed")


def echo(request):
    return HttpResponse(request.body)


def stream(request):
    def lines():
        for number in range(3):
            yield f"{number} {Order.objects.count()}\n"  # MARK stream
            time.sleep(0.02)

    return StreamingHttpResponse(lines())


def endless(request):
    def lines():
        until = time.monotonic() + 20
        while time.monotonic() < until:
            yield "x" * 10_000
            time.sleep(0.01)

    async def lines_async():
        until = time.monotonic() + 20
        while time.monotonic() < until:
            yield "x" * 10_000
            await asyncio.sleep(0.01)

    # On an event loop Django reads a plain iterator to its end first.
    return StreamingHttpResponse(lines_async() if hasattr(request, "scope") else lines())


def file(request):
    return FileResponse(Path(__file__).open("rb"))


def _computed():
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass


async def asynchronous(request, pk):
    found = await Order.objects.aget(pk=pk)  # MARK asynchronous
    await asyncio.sleep(0.05)
    await sync_to_async(_computed)()
    return JsonResponse({"customer": found.customer})


def fork(request):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    return HttpResponse(f"ended with {os.waitstatus_to_exitcode(status)}")


def _child():
    os._exit(7)


def process(request):
    codes = []
    for method in ("fork", "spawn"):
        child = multiprocessing.get_context(method).Process(target=_child)
        child.start()
        child.join()
        codes.append(child.exitcode)
    return JsonResponse({"codes": codes})


def command(request):
    call_command("tidy")
    return HttpResponse("tidied")

from django.core.management.base import BaseCommand

from django_site.models import Order


class Command(BaseCommand):
    def handle(self, *args, **options):
        Order.objects.filter(customer=-1).delete()  # MARK tidy

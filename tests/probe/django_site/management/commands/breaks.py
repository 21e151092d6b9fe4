from django.core.management.base import BaseCommand


class Command(BaseCommand):
    def handle(self, *args, **options):
        raise LookupError("a secret of the command")  # MARK breaks

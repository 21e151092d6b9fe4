from django.db import models


class Order(models.Model):
    customer = models.IntegerField()
    note = models.TextField(default="")

    class Meta:
        db_table = "django_order"

    def __str__(self):
        return f"order {self.pk}"

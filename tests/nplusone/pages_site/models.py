"""
The tables as Django has them.
"""

from django.db import models


class Customer(models.Model):
    name = models.TextField()

    class Meta:
        db_table = "customer"

    def __str__(self):
        return self.name


class Tag(models.Model):
    name = models.TextField()

    class Meta:
        db_table = "tag"

    def __str__(self):
        return self.name


class Product(models.Model):
    name = models.TextField()
    story = models.TextField()
    tags = models.ManyToManyField(Tag, db_table="product_tags")

    class Meta:
        db_table = "product"

    def __str__(self):
        return self.name


class Reviews(models.Manager):
    def good(self):
        return self.filter(stars__gte=1)


class Review(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="reviews")
    stars = models.IntegerField()
    day = models.DateField()

    objects = Reviews()

    class Meta:
        db_table = "review"

    def __str__(self):
        return f"{self.stars} stars"


class Purchase(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    state = models.TextField()
    note = models.TextField()

    class Meta:
        db_table = "purchase"

    def __str__(self):
        return f"purchase {self.pk}"

    @property
    def amount(self):
        return sum(line.amount for line in self.lines.all())  # MARK property


class Line(models.Model):
    purchase = models.ForeignKey(Purchase, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.CASCADE)
    amount = models.IntegerField()

    class Meta:
        db_table = "line"

    def __str__(self):
        return f"{self.amount} of {self.product_id}"


class Invoice(models.Model):
    purchase = models.OneToOneField(Purchase, models.CASCADE)
    number = models.TextField()

    class Meta:
        db_table = "invoice"

    def __str__(self):
        return self.number


class Event(models.Model):
    name = models.TextField()

    class Meta:
        db_table = "event"

    def __str__(self):
        return self.name


class Job(models.Model):
    state = models.TextField()
    looks = models.IntegerField()

    class Meta:
        db_table = "job"

    def __str__(self):
        return self.state

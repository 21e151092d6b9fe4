"""
The ORM's remedy is written where the source leaves no doubt, and only there.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rung.moves.eager import Remedy, remedy
from rung.ports import Question, Source, TextFile, Unavailable
from rung.steps.find.repeats import Repeat
from tests.strategies import answered

OF_ONE = "SELECT customer.id, customer.name FROM customer WHERE customer.id = $1::BIGINT"
OF_MANY = "SELECT line.id, line.amount FROM line WHERE $1::BIGINT = line.purchase_id"
OF_DJANGO = 'SELECT "line"."id" FROM "line" WHERE "line"."purchase_id" = $1'

ALCHEMY_MODELS = """\
from sqlalchemy.orm import Mapped, deferred, mapped_column, relationship

class Customer(Base):
    __tablename__ = "customer"

class Line(Base):
    __tablename__ = "line"

class Purchase(Base):
    __tablename__ = "purchase"
    note = deferred(mapped_column())
    customer: Mapped[Customer | None] = relationship()
    seller: Mapped["Customer"] = relationship(foreign_keys="Purchase.seller_id")
    lines = relationship("Line", back_populates="purchase")
    old_lines: Mapped[list[Line]] = relationship(lazy="dynamic")
"""
DJANGO_MODELS = """\
class Customer(models.Model):
    class Meta:
        db_table = "customer"

class Purchase(models.Model):
    customer = models.ForeignKey("shop.Customer", models.CASCADE)

class Line(models.Model):
    purchase = models.ForeignKey(to=Purchase, on_delete=models.CASCADE, related_name="lines")

    class Meta:
        db_table = "line"

class Invoice(models.Model):
    purchase = models.OneToOneField(Purchase, models.CASCADE)
"""


def view(body: str, *, head: str = "from sqlalchemy import select\n\nfrom .models import Purchase\n") -> str:
    """
    Return a file with a function; what feeds and what asks are marked.
    """
    return f"{head}\n\ndef page(session):\n" + "".join(f"    {line}\n" for line in body.splitlines())


def line_of(text: str, mark: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.endswith(f"# {mark}"))


def remedied(text: str, statement: str, models: str = ALCHEMY_MODELS, **changed: str) -> Remedy:
    """
    Return the remedy for shop/views.py with *text*, whose lines are marked.
    """
    files = {"shop/views.py": text, "shop/models.py": models}
    repeat = Repeat(
        route="GET /", statement="5" * 16, text=statement, kind="read", database="", calls=8, requests=9, spent_s=1.0,
        code=changed.get("code", f"shop/views.py:{line_of(text, 'asks')}"),
        source="6" * 16, source_code=f"shop/views.py:{line_of(text, 'feeds')}", source_rows=8, one_for_each=True,
        why_not="",
    )  # fmt: skip

    def read(question: Question) -> TextFile | Unavailable:
        assert isinstance(question, Source)
        held = files.get(question.path)
        return Unavailable("it is not there") if held is None else TextFile(question.path, held)

    found: Remedy = answered(remedy(repeat), read)
    return found


def applied(found: Remedy, text: str, folder: Path) -> str:
    """
    Return what `git apply` makes of *text*.
    """
    assert found.patch is not None, found.words
    place = folder / found.patch.path
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(text.encode())
    subprocess.run(["git", "apply", "-"], cwd=folder, input=found.patch.diff.encode(), check=True)
    return place.read_bytes().decode()


LOOP = """\
for purchase in session.scalars(select(Purchase).limit(8)):  # feeds
    print(purchase.customer.name)  # asks"""
NAMED = """\
asked = select(Purchase)
found = session.scalars(asked)  # feeds
return [purchase.customer for purchase in found]  # asks"""
LOOP_OF_MANY = LOOP.replace("purchase.customer.name", "len(purchase.lines)")


@pytest.mark.parametrize(
    ("body", "statement", "line"),
    [
        (LOOP, OF_ONE, "select(Purchase).options(joinedload(Purchase.customer)).limit(8)"),
        (LOOP_OF_MANY, OF_MANY, "select(Purchase).options(selectinload(Purchase.lines)).limit(8)"),
        (LOOP.replace(".limit(8)", ".with_for_update()"), OF_ONE, ".options(selectinload(Purchase.customer))"),
        (LOOP.replace("session.scalars(select(Purchase).limit(8))", "session.query(Purchase)"), OF_ONE,
         "session.query(Purchase).options(joinedload(Purchase.customer)):"),
        (LOOP.replace("customer.name", "note"), "SELECT purchase.note FROM purchase WHERE purchase.id = $1",
         ".options(undefer(Purchase.note))"),
        (NAMED, OF_ONE,
         "asked = select(Purchase).options(joinedload(Purchase.customer))"),
        (NAMED.replace("purchase.customer", "Out.model_validate(purchase)"), OF_MANY,
         "select(Purchase).options(selectinload(Purchase.lines))"),
    ],
)  # fmt: skip
def test_sqlalchemy(tmp_path: Path, body: str, statement: str, line: str) -> None:
    text = view(body)
    made = applied(remedied(text, statement), text, tmp_path)

    assert line in made
    loads = made.split("(Purchase.")[0].rsplit("(", 1)[-1].strip()
    assert f"from sqlalchemy import select\nfrom sqlalchemy.orm import {loads}\n" in made


DJANGO_HEAD = "from shop.models import Purchase\n"
DJANGO_NAMED = """\
found = Purchase.objects.filter(a=1).order_by("id")
return [
    purchase.customer.name  # asks
    for purchase in found  # feeds
]"""
DJANGO_LOOP = 'for purchase in Purchase.objects.order_by("id")[:8]:  # feeds\n    print(purchase.customer)  # asks'


@pytest.mark.parametrize(
    ("body", "statement", "line"),
    [
        (DJANGO_LOOP, OF_ONE, 'Purchase.objects.order_by("id").select_related("customer")[:8]:'),
        (DJANGO_LOOP.replace("customer", "lines.all()"), OF_DJANGO, '.order_by("id").prefetch_related("lines")[:8]:'),
        (DJANGO_LOOP.replace("customer", "invoice.number"), 'SELECT "x" FROM "shop_invoice"',
         '.order_by("id").select_related("invoice")[:8]:'),
        (DJANGO_NAMED, OF_ONE,
         'found = Purchase.objects.filter(a=1).order_by("id").select_related("customer")\n'),
    ],
)  # fmt: skip
def test_django(tmp_path: Path, body: str, statement: str, line: str) -> None:
    text = view(body, head=DJANGO_HEAD)
    made = applied(remedied(text, statement, DJANGO_MODELS), text, tmp_path)

    assert line in made
    assert made.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (LOOP.replace("select(Purchase).limit(8)", "newest()"), "another function makes the query"),
        (LOOP.replace("session.scalars(select(Purchase).limit(8))", "session"), "a caller gives it"),
        (NAMED.replace("\nfound", "\nif session:\n    asked = asked.limit(8)\nfound"), "it is built in several steps"),
        (LOOP.replace("select(Purchase)", "union(select(Purchase), select(Purchase))"), "there are two"),
        (LOOP.replace("purchase.customer.name", "names[purchase.customer_id]"), "what asks is not there"),
        (LOOP.replace("purchase.customer.name", "purchase.customer, purchase.seller"), "two relations read that table"),
        (LOOP.replace("purchase.customer.name", "purchase.old_lines"), "it is not loaded by an access"),
        (LOOP.replace("select(Purchase)", "select(Unknown)"), "a model that nobody can find"),
    ],
)  # fmt: skip
def test_what_is_in_doubt_is_said_in_words(body: str, why: str) -> None:
    found = remedied(view(body), OF_ONE)

    assert found.patch is None, why
    assert "= ANY" in found.words


@pytest.mark.parametrize(
    "body",
    [
        DJANGO_LOOP.replace("customer", "lines.count()"),
        DJANGO_LOOP.replace("customer", "lines.filter(amount=1)"),
        DJANGO_LOOP.replace("objects", "objects.paid()").replace("customer", "lines.all()"),
        DJANGO_NAMED.replace("in found", "in found.values()"),
        DJANGO_LOOP.replace('order_by("id")', 'only("id")'),
        DJANGO_LOOP.replace('order_by("id")', 'order_by("id").iterator()').replace("customer", "lines.all()"),
    ],
)
def test_what_django_would_ask_anew_or_refuse_is_left_to_people(body: str) -> None:
    statement = OF_DJANGO if "lines" in body else OF_ONE
    assert remedied(view(body, head=DJANGO_HEAD), statement, DJANGO_MODELS).patch is None


def test_a_statement_that_reads_another_table_is_not_the_relation() -> None:
    assert remedied(view(LOOP), "SELECT * FROM seller WHERE id = $1").patch is None


def test_a_file_that_is_not_there_or_has_changed_is_not_patched() -> None:
    text = view(LOOP)
    assert remedied(text, OF_ONE, code="elsewhere/views.py:3").patch is None
    assert remedied(text, OF_ONE, code="shop/views.py:999").patch is None
    assert remedied(text + "\n)", OF_ONE).patch is None
    assert remedied(text, OF_ONE, models="class Purchase(").patch is None


def test_a_template_that_accesses_it_is_as_good_as_a_line_of_code(tmp_path: Path) -> None:
    page = "{% for purchase in purchases %}\n{{ purchase.customer.name }}\n"
    text = view("return render(session.scalars(select(Purchase)).all())  # feeds\n# asks")
    files = {"shop/views.py": text, "shop/models.py": ALCHEMY_MODELS, "shop/page.html": page}
    repeat = Repeat(
        route="GET /", statement="5" * 16, text=OF_ONE, kind="read", database="", calls=8, requests=9, spent_s=1.0,
        code="shop/page.html:2", source="6" * 16, source_code=f"shop/views.py:{line_of(text, 'feeds')}", source_rows=8,
        one_for_each=True, why_not="",
    )  # fmt: skip
    found: Remedy = answered(remedy(repeat), lambda question: TextFile(question.path, files[question.path]))  # type: ignore[attr-defined]

    assert "select(Purchase).options(joinedload(Purchase.customer))" in applied(found, text, tmp_path)


def test_the_users_formatting_stays(tmp_path: Path) -> None:
    """
    A chain with a call on each line gets one more line; an import is completed; line ends and the last line stay.
    """
    head = (
        "from sqlalchemy import select\nfrom sqlalchemy.orm import aliased, undefer\nfrom shop.models import Purchase\n"
    )
    body = """\
found = session.scalars(  # ünï
    select(Purchase)
    .where(x=1)
)  # feeds
return [each.lines for each in found]  # asks"""
    text = view(body, head=head).rstrip("\n").replace("\n", "\r\n")
    made = applied(remedied(text, OF_MANY), text, tmp_path)

    assert "    select(Purchase)\r\n        .options(selectinload(Purchase.lines))\r\n        .where(x=1)\r\n" in made
    assert "import aliased, selectinload, undefer\r\n" in made
    assert made.replace("\r\n", "").count("\n") == 0
    assert made.endswith("# asks")

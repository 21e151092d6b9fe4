"""
The statements: what the app runs well today, and fifty that an index would help, each with its index.

In        nothing
Out       Cases: text, where its values come from, the candidate
Not here  their tables (shop.sql), running them (measured.py)

Values come with the frequency of traffic: an account that orders more is also looked up more.
"""

from __future__ import annotations

from dataclasses import dataclass

from rung.ports import Index, IndexColumn

LOOKUP, JOIN, SORTED, RECORDED = "point lookup", "join", "sort + limit", "recorded"

# Rows of values, spread over a table.
ACCOUNT = "select account_id from orders"
UNIFORM_ACCOUNT = "select account_id from events"
EMAIL = "select a.email from orders o join accounts a on a.id = o.account_id"
ORDER = "select id from orders"
PRODUCT = "select product_id from lines"
STORE = "select store from orders"


@dataclass(frozen=True, slots=True)
class Case:
    """
    A statement.

    Attributes:
        text: With $n for the values that the app sends.
        values: A query whose rows are such values; "" where there are none.
        table: Of the candidate, "" for none.
        keys: Its columns, with a minus for descending.
    """

    group: str
    text: str
    values: str = ""
    table: str = ""
    keys: tuple[str, ...] = ()

    @property
    def index(self) -> Index:
        """
        The candidate.
        """
        keys = tuple(IndexColumn(key.removeprefix("-"), key.startswith("-")) for key in self.keys)
        return Index("public", self.table, keys)


def _recorded(text: str, values: str = "") -> Case:
    return Case(RECORDED, text, values)


def _lookup(text: str, values: str, table: str, *keys: str) -> Case:
    return Case(LOOKUP, text, values, table, keys)


def _join(text: str, values: str, table: str, *keys: str) -> Case:
    return Case(JOIN, text, values, table, keys)


def _sorted(text: str, values: str, table: str, *keys: str) -> Case:
    return Case(SORTED, text, values, table, keys)


# What a healthy app runs; the first eight, as rung asks the plans of eight.
HEALTHY = (
    _recorded("select * from accounts where id = $1", ACCOUNT),
    _recorded("select * from orders where id = $1", ORDER),
    _recorded("select * from lines where order_id = $1", ORDER),
    _recorded("select id, title, price from products where id = $1", PRODUCT),
    _recorded("select l.*, p.title from lines l join products p on p.id = l.product_id where l.order_id = $1", ORDER),
    _recorded("select id, total, created_at from orders order by id desc limit 20"),
    _recorded("select id, title, price from products where category = $1 order by price limit 20",
              "select category from products"),
    _recorded("select sum(total) from orders where id between $1 and $1 + 200", ORDER),
    _recorded("select id, name from accounts where email = $1", EMAIL),
    _recorded("select o.*, a.name from orders o join accounts a on a.id = o.account_id where o.id = $1", ORDER),
    _recorded("select kind, payload from events order by id desc limit 50"),
    _recorded("select count(*) from products where category = $1", "select category from products"),
    _recorded("select o.created_at, l.quantity, p.title from orders o join lines l on l.order_id = o.id"
              " join products p on p.id = l.product_id where o.id = $1", ORDER),
    _recorded("select id, kind, at from events where id > $1 order by id limit 100", "select id from events"),
)  # fmt: skip

LOOKUPS = (
    _lookup("select * from orders where account_id = $1", ACCOUNT, "orders", "account_id"),
    _lookup("select * from orders where ref = $1", "select ref from orders", "orders", "ref"),
    _lookup("select id, total from orders where account_id = $1 and status = $2",
            "select account_id, status from orders", "orders", "account_id", "status"),
    _lookup("select * from orders where account_id = $1 and store = $2",
            "select account_id, store from orders", "orders", "account_id", "store"),
    _lookup("select count(*) from orders where created_at >= $1 and created_at < $1 + interval '1 day'",
            "select created_at from orders", "orders", "created_at"),
    _lookup("select * from events where account_id = $1", UNIFORM_ACCOUNT, "events", "account_id"),
    _lookup("select id, kind, at from events where session = $1", "select session from events", "events", "session"),
    _lookup("select id, at from events where account_id = $1 and kind = $2",
            "select account_id, kind from events", "events", "account_id", "kind"),
    _lookup("select sum(quantity) from lines where product_id = $1", PRODUCT, "lines", "product_id"),
    _lookup("select * from lines where product_id = $1 and returned = $2",
            "select product_id, returned from lines where returned", "lines", "product_id", "returned"),
    _lookup("select id, email from accounts where name = $1", "select name from accounts", "accounts", "name"),
    _lookup("select count(*) from accounts where country = $1 and plan = $2",
            "select country, plan from accounts", "accounts", "country", "plan"),
    _lookup("select id, email from accounts where signed_up >= $1 and signed_up < $1 + interval '1 day'",
            "select signed_up from accounts", "accounts", "signed_up"),
    _lookup("select * from products where sku = $1", "select sku from products", "products", "sku"),
    _lookup("select id, title, price from products where category = $1",
            "select category from products", "products", "category"),
    _lookup("select sum(total) from orders"
            " where store = $1 and created_at >= $2 and created_at < $2 + interval '7 days'",
            "select store, created_at from orders", "orders", "store", "created_at"),
    _lookup("select count(*), sum(total) from orders where status = $1",
            "select 'refunded'", "orders", "status"),
    _lookup("select id, account_id from orders where total = $1", "select total from orders", "orders", "total"),
    _lookup("select id, session from events where kind = $1 and at >= $2 and at < $2 + interval '1 hour'",
            "select kind, at from events", "events", "kind", "at"),
    _lookup("select id, account_id, total from orders where account_id in ($1, $2, $3)",
            "select account_id, account_id + 1, account_id + 2 from orders", "orders", "account_id"),
)  # fmt: skip

JOINS = (
    _join("select o.id, l.product_id, l.quantity from orders o join lines l on l.order_id = o.id"
          " where o.account_id = $1",
          ACCOUNT, "orders", "account_id"),
    _join("select o.created_at, l.quantity from lines l join orders o on o.id = l.order_id where l.product_id = $1",
          PRODUCT, "lines", "product_id"),
    _join("select a.name, o.* from accounts a join orders o on o.account_id = a.id where a.id = $1",
          ACCOUNT, "orders", "account_id"),
    _join("select o.id, o.total from accounts a join orders o on o.account_id = a.id where a.email = $1",
          EMAIL, "orders", "account_id"),
    _join("select o.id, p.title, l.quantity from orders o join lines l on l.order_id = o.id"
          " join products p on p.id = l.product_id where o.account_id = $1", ACCOUNT, "orders", "account_id"),
    _join("select e.* from accounts a join events e on e.account_id = a.id where a.email = $1",
          EMAIL, "events", "account_id"),
    _join("select p.id, sum(l.quantity) from products p join lines l on l.product_id = p.id"
          " where p.category = $1 group by p.id", "select category from products", "lines", "product_id"),
    _join("select o.id, o.total, a.email from orders o join accounts a on a.id = o.account_id"
          " where o.store = $1 and o.created_at >= $2 and o.created_at < $2 + interval '3 days'",
          "select store, created_at from orders", "orders", "store", "created_at"),
    _join("select o.id, l.* from orders o join lines l on l.order_id = o.id where o.ref = $1",
          "select ref from orders", "orders", "ref"),
    _join("select a.id, count(e.id) from accounts a left join events e on e.account_id = a.id"
          " where a.id between $1 and $1 + 100 group by a.id", UNIFORM_ACCOUNT, "events", "account_id"),
    _join("select a.id, a.email from accounts a where a.id between $1 and $1 + 50"
          " and exists (select from orders o where o.account_id = a.id and o.status = 'refunded')",
          UNIFORM_ACCOUNT, "orders", "account_id", "status"),
    _join("select o.id, o.created_at, l.quantity from products p join lines l on l.product_id = p.id"
          " join orders o on o.id = l.order_id where p.id = $1 and l.returned",
          PRODUCT, "lines", "product_id", "returned"),
    _join("select o.id, a.country from orders o join accounts a on a.id = o.account_id where o.total = $1",
          "select total from orders", "orders", "total"),
    _join("select e.at, a.email from events e join accounts a on a.id = e.account_id where e.session = $1",
          "select session from events", "events", "session"),
    _join("select a.email, o.id, o.total from accounts a join orders o on o.account_id = a.id"
          " where a.id between $1 and $1 + 20 and o.status = 'open'",
          UNIFORM_ACCOUNT, "orders", "account_id", "status"),
)  # fmt: skip

SORTS = (
    _sorted("select * from orders where account_id = $1 order by created_at desc limit 20",
            ACCOUNT, "orders", "account_id", "-created_at"),
    _sorted("select * from orders where account_id = $1 order by total desc limit 20", ACCOUNT, "orders", "account_id"),
    _sorted("select id, total from orders where store = $1 order by created_at desc limit 50",
            STORE, "orders", "store", "-created_at"),
    _sorted("select id, total from orders where status = $1 order by created_at desc limit 20",
            "select status from orders", "orders", "status", "-created_at"),
    _sorted("select id, created_at from orders order by created_at desc limit 20", "", "orders", "created_at"),
    _sorted("select * from orders order by total desc limit 10", "", "orders", "-total"),
    _sorted("select * from events where account_id = $1 order by at desc limit 10",
            UNIFORM_ACCOUNT, "events", "account_id", "-at"),
    _sorted("select id, payload from events where kind = $1 order by at desc limit 100",
            "select kind from events", "events", "kind", "-at"),
    _sorted("select id, price from lines where product_id = $1 order by price desc limit 10",
            PRODUCT, "lines", "product_id", "-price"),
    _sorted("select id, name, email from accounts where country = $1 order by signed_up desc limit 20",
            "select country from accounts", "accounts", "country", "-signed_up"),
    _sorted("select id, title from products where category = $1 order by price limit 20",
            "select category from products", "products", "category", "price"),
    _sorted("select id, created_at from orders order by created_at desc limit 20 offset 1000",
            "", "orders", "-created_at"),
    _sorted("select id, total from orders where store = $1 order by total desc limit 20", STORE, "orders", "store"),
    _sorted("select id, account_id, at from events order by account_id, at desc limit 50",
            "", "events", "account_id", "-at"),
    _sorted("select o.id, o.total, a.email from orders o join accounts a on a.id = o.account_id"
            " where o.store = $1 order by o.created_at desc limit 20", STORE, "orders", "store", "-created_at"),
)  # fmt: skip

CASES = (*LOOKUPS, *JOINS, *SORTS)
QUICK = (LOOKUPS[0], LOOKUPS[14], JOINS[0], SORTS[0], SORTS[4])

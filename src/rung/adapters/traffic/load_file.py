"""
Read a load file: TOML with a rate, and one [[routes]] table for each kind of request.

    rate = 20.0
    [[routes]]
    weight = 30
    path = "/customers/{customer}/orders"
    [routes.values.customer]
    from = 1
    to = 50000
    skew = 1.1

In        the path of a file that a person wrote
Out       a Plan, or for a replay a Template; an error names the file, the key and what it takes
Not here  what the values mean (plan.py), asking a database for them (values.py), drawing them (schedule.py)
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rung.adapters.traffic.plan import (
    PLACEHOLDER,
    ZIPF_VALUES_MAX,
    Choice,
    Draw,
    Json,
    Plan,
    Query,
    Route,
    Template,
    Value,
    checked,
    method_of,
)
from rung.errors import BadFile, BadValue, UnknownName

_SEE = "rung load --help"
_FILE_KEYS = ("rate", "routes", "values", "headers")
_ROUTE_KEYS = ("weight", "method", "path", "route", "headers", "form", "json", "values")
_VALUE_KEYS = ("from", "to", "skew", "values", "query", "per")
_SESSION = "session"
_INTEGER_MAX = 2**63 - 1


def read_plan(path: Path | str, *, rate: float | None = None, duration_s: float, seed: int = 1) -> Plan:
    """
    Return the plan in the load file at *path*; *rate*, requests a second, overrides the file's.

    Raises:
        BadFile: it cannot be read, is no TOML, or something in it is missing or contradicts itself.
        BadValue: a value of the wrong kind.
        UnknownName: a key that does not exist, with the one that was probably meant.
    """
    where = str(path)
    table = _parse(Path(path))
    template = _template(table, where)
    if rate is None:
        if "rate" not in table:
            raise BadFile(where, "it has no rate (requests a second); write rate = 20.0 at its top", see=_SEE)
        rate = _positive(table["rate"], "rate", where)
    if not template.routes:
        raise BadFile(where, "it has no [[routes]]; each kind of request is one such table with a path", see=_SEE)
    return checked(Plan(template.routes, float(rate), duration_s, seed))


def read_template(path: Path | str) -> Template:
    """
    Return what the load file at *path* says of requests that were recorded; it needs neither rate nor routes.

    Raises:
        BadFile, BadValue, UnknownName: as for read_plan.
    """
    return _template(_parse(Path(path)), str(path))


def _template(table: Mapping[str, object], where: str) -> Template:
    _only(table, _FILE_KEYS, where)
    values, headers = _values(table, where), _texts(table.get("headers", {}), "headers", where)
    for name in sorted(set(_placeholders(headers)) - set(values)):
        raise BadFile(where, f"{{{name}}} in its headers has no value; write values.{name} = {{ … }}", see=_SEE)
    tables = table.get("routes", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise BadFile(where, "it has no [[routes]]; each kind of request is one such table with a path", see=_SEE)
    template = Template((), values, headers)
    routes = (_route(one, f"{where}, route {number}", template) for number, one in enumerate(tables, start=1))
    return Template(tuple(routes), values, headers)


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(str(path), error.strerror or str(error), see=_SEE) from error
    except UnicodeDecodeError as error:
        raise BadFile(str(path), f"it is not UTF-8 text (byte {error.start})", see=_SEE) from error
    except tomllib.TOMLDecodeError as error:
        raise BadFile(str(path), f"it is not TOML: {error}", see=_SEE) from error


def _route(table: Mapping[str, object], where: str, shared: Template) -> Route:
    _only(table, _ROUTE_KEYS, where)
    path = table.get("path")
    if path is None:
        raise BadFile(where, 'it has no path; write path = "/"', see=_SEE)
    if not isinstance(path, str) or not path.startswith("/") or _has_control(path):
        raise BadValue("path", path, expected='a path that begins with "/"', where=where)
    if "form" in table and "json" in table:
        raise BadFile(where, "it has both form and json; a request has one body", see=_SEE)
    route = Route(
        path=path,
        method=method_of(_text(table.get("method", "GET"), "method", where), where=where),
        weight=_positive(table.get("weight", 1), "weight", where),
        form=_texts(table["form"], "form", where) if "form" in table else None,
        json=_json(table["json"], "json", where) if "json" in table else None,
        headers={**shared.headers, **_texts(table.get("headers", {}), "headers", where)},
        values=_values(table, where),
        stands_for=_text(table["route"], "route", where) if "route" in table else None,
    )
    used = set(placeholders(route))
    inherited = {name: value for name, value in shared.values.items() if name in used}
    route = replace(route, values={**inherited, **route.values})
    _names_fit(route, used, where)
    return route


def _values(table: Mapping[str, object], where: str) -> dict[str, Value]:
    return {
        name: _value(value, f"values.{name}", where)
        for name, value in _table(table.get("values", {}), "values", where).items()
    }


def placeholders(route: Route) -> Iterable[str]:
    """
    Return the names of the values that *route* needs.
    """
    return _placeholders([route.path, route.form, route.json, route.headers])


def _names_fit(route: Route, used: set[str], where: str) -> None:
    for name in sorted(used - set(route.values)):
        if route.values:
            raise UnknownName("value", name, known=sorted(route.values), where=f"{where}: {{{name}}}", see=_SEE)
        raise BadFile(where, f"{{{name}}} has no value; add a table [routes.values.{name}] with from and to", see=_SEE)
    for name in sorted(set(route.values) - used):
        raise BadFile(where, f"values.{name} is used nowhere; write {{{name}}} in its path, form or json", see=_SEE)


def _placeholders(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield from PLACEHOLDER.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _placeholders(item)
    elif isinstance(value, list):
        for item in value:
            yield from _placeholders(item)


def _value(value: object, name: str, where: str) -> Value:
    table = _table(value, name, where)
    _only(table, _VALUE_KEYS, f"{where}, {name}")
    per = table.pop("per", None)
    if per not in {None, _SESSION}:
        raise BadValue(f"{name}.per", per, expected='"session", or to be left out', where=where)
    per_session = per is not None
    for key, what in (("values", "values and from/to"), ("query", "a query and something else")):
        if key in table and len(table) > 1:
            raise BadFile(where, f"{name} has {what}; it takes one of them", see=_SEE)
    if "values" in table:
        return replace(_choice(table["values"], f"{name}.values", where), per_session=per_session)
    if "query" in table:
        return Query(_query(table["query"], f"{name}.query", where), f"{where}, {name}", per_session)
    for key in ("from", "to"):
        if key not in table:
            raise BadFile(where, f"{name} has no {key!r}; it takes from and to, or values, or query", see=_SEE)
    low, high = (_whole(table[key], f"{name}.{key}", where) for key in ("from", "to"))
    if low > high:
        raise BadValue(f"{name}.from", low, expected=f"at most its 'to', {high}", where=where)
    skew = _positive(table["skew"], f"{name}.skew", where) if "skew" in table else None
    if skew is not None and high - low >= ZIPF_VALUES_MAX:
        raise BadValue(
            f"{name}.to", high, expected=f"a range of at most {ZIPF_VALUES_MAX} values beside skew", where=where
        )
    return Draw(low, high, skew, per_session)


def _query(value: object, name: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise BadValue(name, value, expected='a query such as "SELECT id FROM products LIMIT 1000"', where=where)
    return value


def _choice(value: object, name: str, where: str) -> Choice:
    if not isinstance(value, list) or not value or not all(_is_text_or_whole(one) for one in value):
        raise BadValue(name, value, expected='a list of texts or whole numbers such as ["a", "b"]', where=where)
    return Choice(tuple(value))


def _only(table: Mapping[str, object], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownName("key", key, known=known, where=where, see=_SEE)


def _table(value: object, name: str, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadValue(name, value, expected="a table of names and values", where=where)
    return value


def _text(value: object, name: str, where: str) -> str:
    if not isinstance(value, str) or _has_control(value):
        raise BadValue(name, value, expected="a text on one line", where=where)
    return value


def _texts(value: object, name: str, where: str) -> dict[str, str]:
    texts = {}
    for key, one in _table(value, name, where).items():
        if name == "form" and isinstance(one, str):
            texts[key] = one  # a form field may have line breaks; they are percent-encoded
        elif isinstance(one, int | float) and not isinstance(one, bool):
            texts[key] = str(one)
        else:
            texts[_text(key, name, where)] = _text(one, f"{name}.{key}", where)
    return texts


def _json(value: object, name: str, where: str) -> Json:
    if isinstance(value, dict):
        return {key: _json(one, f"{name}.{key}", where) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one, f"{name}[{index}]", where) for index, one in enumerate(value)]
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise BadValue(name, value, expected="something JSON knows: text, number, true, false, list or table", where=where)


def _positive(value: object, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise BadValue(name, value, expected="a number above 0", where=where)
    return float(value)


def _whole(value: object, name: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _INTEGER_MAX - 1:
        raise BadValue(name, value, expected="a whole number of at most 18 digits", where=where)
    return value


def _is_text_or_whole(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _has_control(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)

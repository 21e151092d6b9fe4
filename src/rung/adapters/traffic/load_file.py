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
Out       a Plan, or an error that names the file, the key and what it takes
Not here  what the values mean (plan.py), drawing them (schedule.py)
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rung.adapters.traffic.plan import (
    PLACEHOLDER,
    ZIPF_VALUES_MAX,
    Choice,
    Draw,
    Json,
    Plan,
    Route,
    checked,
    method_of,
)
from rung.errors import BadFile, BadValue, UnknownName

_SEE = "rung load --help"
_FILE_KEYS = ("rate", "routes")
_ROUTE_KEYS = ("weight", "method", "path", "headers", "form", "json", "values")
_VALUE_KEYS = ("from", "to", "skew", "values")
_INTEGER_MAX = 2**63 - 1


def read_plan(path: Path | str, *, rate: float | None = None, duration_s: float, seed: int = 1) -> Plan:
    """
    Return the plan in the load file at *path*; *rate*, requests a second, overrides the file's.

    Raises:
        BadFile: it cannot be read, is no TOML, or something in it is missing or contradicts itself.
        BadValue: a value of the wrong kind.
        UnknownName: a key that does not exist, with the one that was probably meant.
    """
    table = _parse(Path(path))
    where = str(path)
    _only(table, _FILE_KEYS, where)
    if rate is None:
        if "rate" not in table:
            raise BadFile(where, "it has no rate (requests a second); write rate = 20.0 at its top", see=_SEE)
        rate = _positive(table["rate"], "rate", where)
    tables = table.get("routes")
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise BadFile(where, "it has no [[routes]]; each kind of request is one such table with a path", see=_SEE)
    routes = tuple(_route(one, f"{where}, route {number}") for number, one in enumerate(tables, start=1))
    return checked(Plan(routes, float(rate), duration_s, seed))


def _parse(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(str(path), error.strerror or str(error), see=_SEE) from error
    except UnicodeDecodeError as error:
        raise BadFile(str(path), f"it is not UTF-8 text (byte {error.start})", see=_SEE) from error
    except tomllib.TOMLDecodeError as error:
        raise BadFile(str(path), f"it is not TOML: {error}", see=_SEE) from error


def _route(table: Mapping[str, object], where: str) -> Route:
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
        headers=_texts(table.get("headers", {}), "headers", where),
        values={
            name: _value(value, f"values.{name}", where)
            for name, value in _table(table.get("values", {}), "values", where).items()
        },
    )
    _names_fit(route, where)
    return route


def _names_fit(route: Route, where: str) -> None:
    used = set(_placeholders([route.path, route.form, route.json, route.headers]))
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


def _value(value: object, name: str, where: str) -> Draw | Choice:
    table = _table(value, name, where)
    _only(table, _VALUE_KEYS, f"{where}, {name}")
    if "values" in table:
        if len(table) > 1:
            raise BadFile(where, f"{name} has values and from/to; it takes one of them", see=_SEE)
        return _choice(table["values"], f"{name}.values", where)
    for key in ("from", "to"):
        if key not in table:
            raise BadFile(where, f"{name} has no {key!r}; it takes from and to, or values", see=_SEE)
    low, high = (_whole(table[key], f"{name}.{key}", where) for key in ("from", "to"))
    if low > high:
        raise BadValue(f"{name}.from", low, expected=f"at most its 'to', {high}", where=where)
    skew = _positive(table["skew"], f"{name}.skew", where) if "skew" in table else None
    if skew is not None and high - low >= ZIPF_VALUES_MAX:
        raise BadValue(
            f"{name}.to", high, expected=f"a range of at most {ZIPF_VALUES_MAX} values beside skew", where=where
        )
    return Draw(low, high, skew)


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

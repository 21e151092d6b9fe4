"""
Read in the user's source what feeds a loop, and which attribute of its objects leads to another table.

In        the text of a Python file (or of a template), lines of it
Out       the query that is executed at a line; attributes accessed at a line; the relations of a model
Not here  which of them is asked one by one, and writing what to do about it (eager.py)

Only what stands there is read, and nothing is guessed: a query that a helper returns, a model that is built at run time
or a relation that a base class brings is not found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

SQLALCHEMY, DJANGO = "SQLAlchemy", "Django"
ONE, MANY, COLUMN = "one", "many", "column"

# Of Django's managers and querysets: what gives a queryset of whole objects again.
_DJANGO_CHAIN = frozenset({
    "all", "filter", "exclude", "order_by", "annotate", "alias", "distinct", "reverse", "using", "select_related",
    "prefetch_related", "select_for_update", "only", "defer",
})  # fmt: skip
# Fields that lead to another model.
_DJANGO_FIELDS = {"ForeignKey": ONE, "OneToOneField": ONE, "ManyToManyField": MANY}
_MANY_TYPES = frozenset({"list", "List", "set", "Set", "Sequence", "dict", "Dict", "WriteOnlyMapped", "DynamicMapped"})
# What SQLAlchemy does not load when the attribute is accessed.
_NOT_LOADED = frozenset({"dynamic", "write_only", "raise", "noload"})

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPOUND = (
    ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.Match, ast.ClassDef, *_FUNCTIONS
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """
    A query as it is written.

    Attributes:
        model: The name of the class whose objects it gives.
        chain: The methods that are called on it, in their order.
        line, column: Where another method can be called on it: line from 1, column in bytes.
    """

    orm: str
    model: str
    chain: tuple[str, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Access:
    """
    An attribute that is accessed, and the one that is accessed on it, "" where none is.
    """

    name: str
    following: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """
    An attribute of a model that is loaded from the database when it is accessed.

    Attributes:
        kind: ONE or MANY objects of another table, or a COLUMN that is left out at first.
        table: The other table, "" where its model is not in the file.
    """

    kind: str
    table: str = ""


def parsed(text: str) -> ast.Module | None:
    """
    Return the tree of a Python file, None for what is none.
    """
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def query_at(tree: ast.Module, line: int) -> Query | None:
    """
    Return the one query whose rows are read at *line*: written there, or given a name once in the same function.

    A query that has a name of the whole module is called there and not changed itself.
    """
    region = _region(tree, line)
    if region is None:
        return None
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    found = _queries(region, parents)
    if found:
        return found[0] if len(found) == 1 else None
    uses = [node for node in ast.walk(region) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    function = next((each for each in _upwards(region, parents) if isinstance(each, _FUNCTIONS)), None)
    named: list[Query] = []
    for use in uses:
        bound, value = _value_of(use.id, function) if function is not None else (False, None)
        if not bound:
            _, value = _value_of(use.id, tree)
        for query in _queries(value, parents) if value is not None else ():
            place = (query.line, query.column) if bound else (use.end_lineno or 0, use.end_col_offset or 0)
            named.append(Query(query.orm, query.model, (*query.chain, *_called(use, parents)), *place))
    return named[0] if len(named) == 1 else None


def accessed_at(text: str, tree: ast.Module | None, line: int) -> tuple[Access, ...]:
    """
    Return what is accessed at *line* of a Python file, or of a template where there is no tree.
    """
    lines = text.splitlines()
    if tree is None:
        words = re.findall(r"\.([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?", lines[line - 1] if line <= len(lines) else "")
        return tuple(Access(name, following) for name, following in words)
    found = []
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.lineno <= line <= (node.end_lineno or 0):
            above = parents.get(node)
            found.append(Access(node.attr, above.attr if isinstance(above, ast.Attribute) else ""))
    return tuple(found)


def imported_from(tree: ast.Module, name: str, path: str) -> tuple[str, ...]:
    """
    Return the files that may define *name*, which a file at *path* imports: by this name, from a module.

    >>> imported_from(ast.parse("from .models import Order"), "Order", "shop/views.py")
    ('shop/models.py', 'shop/models/__init__.py')
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or all(
            alias.name != name or alias.asname not in {None, name} for alias in node.names
        ):
            continue
        folders = path.split("/")[: -node.level] if node.level else []
        place = "/".join([*folders, *(node.module or "").split(".")]).strip("/")
        return (f"{place}.py", f"{place}/__init__.py") if place else ()
    return ()


def class_in(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """
    Return the class of that name in a module.
    """
    return next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)


def relations_of(tree: ast.Module, model: str, orm: str) -> dict[str, Relation]:
    """
    Return what the attributes of a model, which the module defines, lead to.
    """
    defined = class_in(tree, model)
    if defined is None:
        return {}
    return _of_sqlalchemy(tree, defined) if orm == SQLALCHEMY else _of_django(tree, defined)


def _of_sqlalchemy(tree: ast.Module, defined: ast.ClassDef) -> dict[str, Relation]:
    found = {}
    for name, call, annotation in _fields(defined):
        made = _last_name(call.func)
        options = {each.arg: each.value for each in call.keywords}
        if made == "relationship":
            lazy = options.get("lazy")
            if isinstance(lazy, ast.Constant) and lazy.value in _NOT_LOADED:
                continue
            words = re.findall(r"\w+", ast.unparse(annotation)) if annotation is not None else []
            given = call.args[0] if call.args else options.get("argument")
            target = next((word for word in reversed(words) if word not in {"None", "Optional"}), "")
            target = target or (given.value if isinstance(given, ast.Constant) else _last_name(given))
            one = bool(words) and not _MANY_TYPES.intersection(words)
            found[name] = Relation(ONE if one else MANY, _table_of(tree, str(target)))
        elif made == "deferred" or (
            isinstance(options.get("deferred"), ast.Constant) and getattr(options["deferred"], "value", False) is True
        ):
            found[name] = Relation(COLUMN)
    return found


def _of_django(tree: ast.Module, defined: ast.ClassDef) -> dict[str, Relation]:
    found = {}
    for owner in (each for each in tree.body if isinstance(each, ast.ClassDef)):
        for name, call, _ in _fields(owner):
            made = _last_name(call.func)
            if made not in _DJANGO_FIELDS:
                continue
            options = {each.arg: each.value for each in call.keywords}
            given = call.args[0] if call.args else options.get("to")
            target = given.value if isinstance(given, ast.Constant) else _last_name(given)
            target = str(target).rpartition(".")[2]
            if owner is defined:
                found[name] = Relation(_DJANGO_FIELDS[made], _table_of(tree, target))
            if target == defined.name:
                related = options.get("related_name")
                back = owner.name.lower() + ("" if made == "OneToOneField" else "_set")
                back = str(related.value) if isinstance(related, ast.Constant) else back
                kind = ONE if made == "OneToOneField" else MANY
                found[back] = Relation(kind, _table_of(tree, owner.name))
    return found


def _fields(defined: ast.ClassDef) -> Iterator[tuple[str, ast.Call, ast.expr | None]]:
    """
    Yield each attribute that is made by a call: its name, the call, its annotation.
    """
    for node in defined.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            yield node.target.id, node.value, node.annotation
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value, None


def _table_of(tree: ast.Module, model: str) -> str:
    """
    Return the name that a class gives to its table, "" where it does not say.
    """
    defined = class_in(tree, model)
    for node in ast.walk(defined) if defined is not None else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            named = {_last_name(target) for target in node.targets}
            if named & {"__tablename__", "db_table"}:
                return str(node.value.value)
    return ""


def _last_name(node: ast.AST | None) -> str:
    """
    Return the name of a name or of an attribute, "" for anything else.
    """
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _region(tree: ast.Module, line: int) -> ast.AST | None:
    """
    Return the smallest statement at *line*; of one with a body its head.
    """
    found: ast.AST | None = None
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            found = node  # walked from the outside in
    if not isinstance(found, _COMPOUND):
        return found
    heads = [getattr(found, name) for name in ("iter", "test", "subject") if hasattr(found, name)]
    heads += [item.context_expr for item in getattr(found, "items", ())]
    return next((head for head in heads if head.lineno <= line <= head.end_lineno), None)


def _queries(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> list[Query]:
    found = []
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and each.args and isinstance(each.args[0], ast.Name):
            made = _last_name(each.func)
            if made == "select" or (made == "query" and isinstance(each.func, ast.Attribute)):
                end = (each.end_lineno or 0, each.end_col_offset or 0)
                found.append(Query(SQLALCHEMY, each.args[0].id, tuple(_called(each, parents)), *end))
        elif isinstance(each, ast.Attribute) and each.attr == "objects" and isinstance(each.value, ast.Name):
            chain = list(_calls_on(each, parents))
            plain = []
            for call in chain:
                if _last_name(call.func) not in _DJANGO_CHAIN:
                    break
                plain.append(call)
            # A manager's own methods come before those of every queryset, and may not be there afterwards.
            if plain:
                end = (plain[-1].end_lineno or 0, plain[-1].end_col_offset or 0)
                found.append(Query(DJANGO, each.value.id, tuple(_last_name(call.func) for call in chain), *end))
    return found


def _calls_on(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.Call]:
    """
    Yield the calls of methods on *node*, on what the first one gives, and so on.
    """
    while True:
        method = parents.get(node)
        call = parents.get(method) if isinstance(method, ast.Attribute) else None
        if not isinstance(call, ast.Call) or call.func is not method:
            return
        yield call
        node = call


def _called(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[str]:
    return (_last_name(call.func) for call in _calls_on(node, parents))


def _upwards(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[ast.AST]:
    above: ast.AST | None = node
    while above is not None:
        yield above
        above = parents.get(above)


def _value_of(name: str, scope: ast.AST) -> tuple[bool, ast.expr | None]:
    """
    Return whether a function or a module binds *name*, and to what: where it is assigned there once, and only so.
    """
    bound, values = 0, []
    for node in _own(scope):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            bound += 1
        elif isinstance(node, ast.arg) and node.arg == name:
            bound += 2  # what callers give, and whatever it becomes
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [name] == [target.id if isinstance(target, ast.Name) else "" for target in targets]:
                values.append(node.value)
    return bound > 0, values[0] if bound == 1 and len(values) == 1 else None


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """
    Yield what is in *scope*, but for what is in functions and classes inside of it, whose names are their own.
    """
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from _own(child)

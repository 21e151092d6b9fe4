"""
Read Django's models and migrations from their source: which model has a table, and what its fields' columns are.

In        the folders with a manage.py, and the name of a table
Out       the models with that table, each with its app's migrations
Not here  what is made of them (steps/take/django.py)

Source: Django documentation, Model Meta options (db_table, app_label, abstract), Field options (db_column), and
AppConfig.label.  A field that a base class outside of the project brings is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rung.ports import DjangoMigration, DjangoModel

RELATIONS = {"ForeignKey", "OneToOneField"}  # their column is the field's name and _id
NO_COLUMN = {"ManyToManyField", "GenericForeignKey", "GenericRelation"}
FILES_MAX = 5000  # a tree that has more is no app's
LEFT_OUT = {"node_modules", "site-packages", "venv", "env", "build", "dist", "__pycache__", "migrations"}


@dataclass(frozen=True, slots=True)
class _Class:
    """
    A class of a models file, in its app.
    """

    app: str
    folder: Path
    path: Path
    node: ast.ClassDef

    @property
    def bases(self) -> list[str]:
        return [ast.unparse(base).rpartition(".")[2] for base in self.node.bases]

    def meta(self, name: str) -> object:
        """
        Return what its Meta says under *name*, None where it says nothing that can be read.
        """
        meta = next((node for node in self.node.body if isinstance(node, ast.ClassDef) and node.name == "Meta"), None)
        return _said(meta.body if meta is not None else (), name)


def models_of(repository: Path, roots: set[Path], table: str) -> list[DjangoModel]:
    """
    Return the models below *roots* whose table is *table*, in the order of their files.
    """
    classes = [found for root in sorted(roots) for found in _classes(root)]
    known: dict[str, _Class] = {each.node.name: each for each in reversed(classes)}
    models = []
    for each in classes:
        if not _is_model(each, known) or each.meta("abstract") is True or each.meta("proxy") is True:
            continue
        app = each.meta("app_label") or each.app
        named = each.meta("db_table") or f"{app}_{each.node.name.lower()}"
        if named != table:
            continue
        folder = each.folder / "migrations"
        models.append(
            DjangoModel(
                app=str(app),
                name=each.node.name,
                table=table,
                path=_shown(each.path, repository),
                source=each.path.read_bytes().decode(errors="replace"),
                fields=tuple(_fields(each, known).items()),
                folder=_shown(folder, repository) if folder.is_dir() else "",
                migrations=tuple(_migrations(folder, str(app), repository)),
                managed=each.meta("managed") is not False,
            )
        )
    return models


def _classes(root: Path) -> Iterator[_Class]:
    for path in _model_files(root):
        folder = path.parent if path.name == "models.py" else path.parent.parent
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        app = _label(folder)
        yield from (_Class(app, folder, path, node) for node in tree.body if isinstance(node, ast.ClassDef))


def _model_files(root: Path) -> Iterator[Path]:
    folders, seen = [root], 0
    while folders:
        folder = folders.pop(0)
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for path in entries:
            seen += 1
            if path.is_dir() and not path.is_symlink():
                folders += [path] * (path.name not in LEFT_OUT and not path.name.startswith("."))
            elif path.name == "models.py" or (path.suffix == ".py" and folder.name == "models"):
                yield path
        if seen > FILES_MAX:
            return


def _label(folder: Path) -> str:
    try:
        tree = ast.parse((folder / "apps.py").read_bytes())
    except (SyntaxError, ValueError, OSError):
        return folder.name
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            label = _said(node.body, "label")
            if isinstance(label, str):
                return label
    return folder.name


def _is_model(each: _Class, known: dict[str, _Class], depth: int = 0) -> bool:
    # A base that is not of the project counts by its name: AbstractUser, MPTTModel.
    return depth < 20 and any(
        _is_model(known[base], known, depth + 1)
        if base in known and known[base] is not each
        else base == "Model" or base.endswith("Model") or base.startswith("Abstract")
        for base in each.bases
    )


def _fields(each: _Class, known: dict[str, _Class], depth: int = 0) -> dict[str, str]:
    """
    Return the columns of a model's fields by the fields' names.
    """
    fields: dict[str, str] = {}
    keyed = False
    for base in each.bases if depth < 20 else ():
        # The fields of a base that is a table itself are in that table.
        if base in known and known[base] is not each and known[base].meta("abstract") is True:
            fields |= _fields(known[base], known, depth + 1)
    for node in each.node.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call):
                pass
            case _:
                continue
        kind = ast.unparse(call.func).rpartition(".")[2]
        if not kind.endswith(("Field", "ForeignKey")) or kind in NO_COLUMN:
            continue
        given = {word.arg: word.value for word in call.keywords}
        column = given.get("db_column")
        relation = kind in RELATIONS or kind.endswith("ForeignKey")
        fields[name] = (
            column.value
            if isinstance(column, ast.Constant) and isinstance(column.value, str)
            else f"{name}_id"
            if relation
            else name
        )
        keyed = keyed or "primary_key" in given
    if not keyed and not depth and "id" not in fields:
        fields = {"id": "id", **fields}
    return fields


def _migrations(folder: Path, app: str, repository: Path) -> Iterator[DjangoMigration]:
    for path in sorted(folder.glob("*.py")) if folder.is_dir() else ():
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        node = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Migration"), None)
        if node is not None:
            yield DjangoMigration(
                _shown(path, repository),
                path.stem,
                tuple(_pairs(node.body, "dependencies", app)),
                tuple(_pairs(node.body, "replaces", app)),
            )


def _pairs(body: Sequence[ast.stmt], name: str, app: str) -> Iterator[str]:
    """
    Yield the migrations of *app* in a list of pairs of app and migration, leaving out what is no text.
    """
    value = next((node.value for node in body if isinstance(node, ast.Assign) and _is(node.targets[0], name)), None)
    for element in value.elts if isinstance(value, ast.List | ast.Tuple) else ():
        match element:
            case ast.Tuple(elts=[ast.Constant(value=label), ast.Constant(value=str() as migration)]) if label == app:
                yield migration


def _said(body: Sequence[ast.stmt], name: str) -> object:
    for node in body:
        if isinstance(node, ast.Assign) and _is(node.targets[0], name) and isinstance(node.value, ast.Constant):
            return node.value.value
    return None


def _is(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _shown(path: Path, repository: Path) -> str:
    return path.resolve().relative_to(repository.resolve()).as_posix()

"""
What the code has, the docs have: each command, setting, error and move under its own heading, and nothing stale.

In        docs/, the parser, the table of settings, the errors, the moves
Out       a failure names the page and what it lacks
Not here  whether the words are good
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

from docs import generate
from rung import config, moves
from rung.surfaces import arguments, schema

DOCS = Path(generate.__file__).parent


def headings(page: str) -> set[str]:
    """
    The headings of a page of docs/.
    """
    return set(re.findall(r"^#+ (.+)$", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE))


def kinds_of_moves() -> set[str]:
    """
    The kind of every move in moves/.
    """
    found = set()
    for module in pkgutil.iter_modules(moves.__path__, f"{moves.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name and isinstance(getattr(kind, "kind", None), str):
                found.add(kind.kind)
    return found


@pytest.mark.parametrize("name", generate.pages())
def test_the_generated_pages_are_those_of_the_code(name: str) -> None:
    path = DOCS / "reference" / name
    assert path.is_file(), "run: make docs"
    assert path.read_text("utf-8") == generate.pages()[name], f"docs/reference/{name} is stale; run: make docs"


def test_every_command_has_its_heading() -> None:
    assert {f"rung {name}" for name in arguments.NAMES} <= headings("reference/cli.md")


def test_every_setting_has_its_heading() -> None:
    assert set(config.TABLE) <= headings("reference/config.md")


def test_every_error_has_its_heading() -> None:
    assert {kind.code for kind in generate.error_classes()} <= headings("reference/errors.md")


def test_every_document_and_shape_has_its_heading() -> None:
    assert {kind.__name__ for kind in (*schema.DOCUMENTS, *schema.SHAPES)} <= headings("reference/json.md")


def test_every_shape_that_a_document_uses_is_declared() -> None:
    page = (DOCS / "reference" / "json.md").read_text("utf-8")
    used = set(re.findall(r"\]\(#(\w+)\)", page))
    assert used <= {heading.lower() for heading in headings("reference/json.md")}


def test_every_move_has_its_page() -> None:
    assert kinds_of_moves(), "no move was found: has moves/ another layout?"
    for kind in kinds_of_moves():
        assert (DOCS / "moves" / f"{kind}.md").is_file(), f"docs/moves/{kind}.md is missing"


def test_every_page_of_a_move_has_a_move() -> None:
    assert {path.stem for path in (DOCS / "moves").glob("*.md")} <= kinds_of_moves()


def test_the_example_of_settings_can_be_used_as_it_stands() -> None:
    """
    And says the defaults: what is read from it is what holds without it.
    """
    page = (DOCS / "reference" / "config.md").read_text("utf-8")
    match = re.search(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert match is not None
    assert tomllib.loads(match[1])
    read = config.settle(file_text=match[1], environ={}, flags={})
    defaults = config.settle(file_text=None, environ={}, flags={})
    for row in config.TABLE.values():
        assert getattr(read, row.name) == getattr(defaults, row.name)


def test_links_between_pages_lead_somewhere() -> None:
    for path in [*(DOCS / "reference").glob("*.md"), *(DOCS / "moves").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"

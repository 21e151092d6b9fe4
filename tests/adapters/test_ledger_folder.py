"""
The ledger's folder: entries in order, written whole, and what is said of one that cannot be read.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rung.adapters.ledger import LedgerFolder, text_of, write_whole
from rung.errors import BadFile
from rung.ports import TextFile


def test_an_absent_folder_is_an_empty_ledger(tmp_path: Path) -> None:
    assert [] == LedgerFolder(tmp_path / "rung" / "ledger").read()


def test_entries_come_back_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = LedgerFolder(tmp_path / "rung" / "ledger")
    entries = [TextFile(f"{number:04d}-move.toml", f"number = {number}  # größer\n") for number in (10, 2, 1)]
    for entry in entries:
        folder.write(entry)
    for name in ("README.md", "0003-x.toml.orig", ".0004-x.toml.17", "12-x.toml"):
        (folder.folder / name).write_text("no entry")

    assert sorted(entries, key=lambda entry: entry.path) == folder.read()
    folder.write(TextFile("0002-move.toml", "number = 2.5\n"))
    assert "number = 2.5\n" == folder.read()[1].text


def test_an_entry_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = LedgerFolder(tmp_path)
    (tmp_path / "0001-a.toml").write_bytes(b"\xff")
    with pytest.raises(BadFile, match=r"0001-a\.toml"):
        folder.read()
    (tmp_path / "0001-a.toml").unlink()
    (tmp_path / "0001-a.toml").mkdir()
    with pytest.raises(BadFile, match=r"0001-a\.toml"):
        folder.read()


def test_what_is_in_the_way_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    for path in (tmp_path / "file" / "0001-a.toml", tmp_path / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(BadFile, match="cannot be written"):
            write_whole(path, "text")
    assert "mine" == (tmp_path / "file").read_text()
    assert ["file", "folder"] == sorted(path.name for path in tmp_path.iterdir())


def test_trees_are_read_back_equal() -> None:
    tree = {"a": 1, "b": {"c": [1.5, 2.5], "d": 'quo"te\nline'}, "list": [{"x": True}, {"x": False}]}
    assert tree == tomllib.loads(text_of(tree))

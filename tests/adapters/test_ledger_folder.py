"""
The ledger's folder: entries in order, written whole, and what is said of one that cannot be read.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rung.adapters.ledger import LedgerFolder, write_whole
from rung.errors import BadFile, FileUnwritable


def test_an_absent_folder_is_an_empty_ledger(tmp_path: Path) -> None:
    assert [] == LedgerFolder(tmp_path / "rung" / "ledger").read()


def test_entries_come_back_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = LedgerFolder(tmp_path / "rung" / "ledger")
    for number in (10, 2, 1):
        folder.write(f"{number:04d}-move.toml", {"number": number, "what": "größer"})
    for name in ("README.md", "0003-x.toml.orig", ".0004-x.toml.17", "12-x.toml"):
        (folder.folder / name).write_text("no entry")

    assert [1, 2, 10] == [tomllib.loads(entry.text)["number"] for entry in folder.read()]
    folder.write("0002-move.toml", {"number": 2.5})
    assert "number = 2.5\n" == folder.read()[1].text


def test_a_file_in_the_folders_place_is_no_empty_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("mine")
    with pytest.raises(BadFile, match="ledger"):
        LedgerFolder(tmp_path / "ledger").read()


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
        with pytest.raises(FileUnwritable, match="cannot write"):
            write_whole(path, "text")
    assert "mine" == (tmp_path / "file").read_text()
    assert ["file", "folder"] == sorted(path.name for path in tmp_path.iterdir())


def test_trees_are_read_back_equal(tmp_path: Path) -> None:
    tree = {"a": 1, "b": {"c": [1.5, 2.5], "d": 'quo"te\nline'}, "list": [{"x": True}, {"x": False}]}
    folder = LedgerFolder(tmp_path)
    folder.write("0001-a.toml", tree)
    assert tree == tomllib.loads(folder.read()[0].text)

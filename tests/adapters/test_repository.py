"""
Only files of the repository are read, and only what is text.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rung.adapters.repository import BYTES_MAX, RepositoryFiles
from rung.ports import Source, TextFile, Unavailable


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.py").write_bytes("größer\r\n".encode())

    assert TextFile("shop/a.py", "größer\r\n") == RepositoryFiles(tmp_path).source(Source("shop/a.py"))


@pytest.mark.parametrize(
    "path", ["../secret.py", "/etc/hostname", "link.py", "gone.py", "shop", "binary.py", "large.py", "a\0b"]
)
def test_nothing_else_is(tmp_path: Path, path: str) -> None:
    inside = tmp_path / "repository"
    (inside / "shop").mkdir(parents=True)
    (tmp_path / "secret.py").write_text("do not tell")
    (inside / "link.py").symlink_to(tmp_path / "secret.py")
    (inside / "binary.py").write_bytes(b"\xff\xfe")
    (inside / "large.py").write_bytes(b"x" * (BYTES_MAX + 1))

    found = RepositoryFiles(inside).source(Source(path))

    assert isinstance(found, Unavailable)
    assert "do not tell" not in found.reason

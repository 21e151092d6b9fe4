"""
The hands on a repository: files are written whole or not at all, and equal ones left alone.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rung.adapters.hands import RepositoryHands
from rung.errors import FileUnwritable
from rung.ports import TextFile


def test_files_are_written_and_equal_ones_left_alone(tmp_path: Path) -> None:
    hands = RepositoryHands(tmp_path, None, lock_timeout_s=5, old_transaction_s=60)
    files = (TextFile("migrations/a.sql", "größer\n"), TextFile("migrations/b.sql", "b\n"))

    assert ("migrations/a.sql", "migrations/b.sql") == hands.write(files)
    before = (tmp_path / "migrations/a.sql").stat()
    assert () == hands.write(files)
    assert before == (tmp_path / "migrations/a.sql").stat()

    (tmp_path / "migrations/b.sql").write_bytes(b"\xff not utf-8")
    assert ("migrations/b.sql",) == hands.write(files)
    (tmp_path / "migrations/b.sql").write_bytes(b"b\r\n")
    assert ("migrations/b.sql",) == hands.write(files)
    assert ["a.sql", "b.sql"] == sorted(path.name for path in (tmp_path / "migrations").iterdir())
    assert b"b\n" == (tmp_path / "migrations/b.sql").read_bytes()


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "migrations").write_text("mine")
    hands = RepositoryHands(tmp_path, None, lock_timeout_s=5, old_transaction_s=60)

    with pytest.raises(FileUnwritable, match="cannot write"):
        hands.write([TextFile("migrations/a.sql", "a")])
    assert "mine" == (tmp_path / "migrations").read_text()


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_files_are_written_whole_or_not_at_all(tmp_path: Path, trouble: str) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.sql").write_text("old")
    program = """
    import os, resource, sys
    from pathlib import Path
    from rung.adapters.hands import RepositoryHands
    from rung.errors import FileUnwritable
    from rung.ports import TextFile

    if sys.argv[1] == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    else:
        os.chdir(os.curdir)
        os.chmod(os.curdir, 0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)
    try:
        RepositoryHands(Path(), None, lock_timeout_s=5, old_transaction_s=60).write([TextFile("a.sql", "x" * 5000)])
    except FileUnwritable as problem:
        print(problem.message)
    """
    for path in (folder, *folder.parents[:-1]):
        if path.stat().st_uid == os.geteuid() and path.is_relative_to(tmp_path.parents[1]):
            path.chmod(0o755)

    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(program), trouble],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o755)

    assert done.stdout.startswith("cannot write a.sql: "), done.stderr
    assert ["a.sql"] == [path.name for path in folder.iterdir()]
    assert "old" == (folder / "a.sql").read_text()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000

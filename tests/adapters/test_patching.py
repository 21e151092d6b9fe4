"""
A patch is applied where its lines stand, taken back likewise, and never put over what somebody changed.
"""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.adapters.hands import RepositoryHands
from rung.adapters.patching import applied
from rung.errors import PatchUnfit
from rung.moves.eager import unified

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\r\n", "\n", "é\n"]), max_size=14)


@given(LINES, LINES, st.booleans(), st.booleans())
def test_there_and_back(old: list[str], new: list[str], old_ends: bool, new_ends: bool) -> None:
    one = "".join(old) + ("" if old_ends else "z")
    other = "".join(new) + ("" if new_ends else "z")
    diff = unified("x", one, other)

    assert other == applied(one, diff)
    assert one == applied(other, diff, back=True)


def test_it_is_what_git_makes_of_it(tmp_path: Path) -> None:
    old = "".join(f"{number}\n" for number in range(40)) + "end"
    new = old.replace("3\n", "three\nand more\n", 1).replace("end", "END").replace("20\n", "")
    (tmp_path / "x").write_text(old)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=unified("x", old, new).encode(), check=True)

    assert new == (tmp_path / "x").read_text() == applied(old, unified("x", old, new))


def hands(folder: Path) -> RepositoryHands:
    return RepositoryHands(folder, None, lock_timeout_s=5, old_transaction_s=60)


OLD = "".join(f"line {number}\n" for number in range(20))
DIFF = unified("a.py", OLD, OLD.replace("line 9\n", "line nine\n"))


def test_a_file_is_changed_once_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("# one more\n" + OLD)
    file.chmod(0o755)

    assert (False, True) == (hands(tmp_path).patch("a.py", DIFF).already, hands(tmp_path).patch("a.py", DIFF).already)
    assert "# one more\n" + OLD.replace("line 9\n", "line nine\n") == file.read_text()
    assert 0o755 == stat.S_IMODE(file.stat().st_mode)
    assert not hands(tmp_path).patch("a.py", DIFF, back=True).already
    assert "# one more\n" + OLD == file.read_text()


@pytest.mark.parametrize("path", ["a.py", "gone.py", "../outside.py", "link.py"])
def test_what_does_not_fit_is_left_as_it_is(tmp_path: Path, path: str) -> None:
    """
    Neither what somebody else changed, nor what is not in the repository.
    """
    inside = tmp_path / "repository"
    inside.mkdir()
    (tmp_path / "outside.py").write_text(OLD)
    (inside / "link.py").symlink_to(tmp_path / "outside.py")
    (inside / "a.py").write_text(OLD.replace("line 9\n", "my own\n"))
    before = {file: file.read_text() for file in (inside / "a.py", tmp_path / "outside.py")}

    with pytest.raises(PatchUnfit, match=path):
        hands(inside).patch(path, DIFF)
    assert before == {file: file.read_text() for file in before}
    assert {"a.py", "link.py"} == {file.name for file in inside.iterdir()}

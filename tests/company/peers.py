"""
The recorders of others, in a folder of their own: neither in the project's environment nor among its dependencies.

In        tests/company/constraints.txt
Out       a folder for PYTHONPATH, made once for each content of that file and each Python
Not here  how a peer is started (test_company.py)
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).resolve().parent / "constraints.txt"
FOLDER = PINNED.parent.parent.parent / ".rung" / "company"
INSTALL_S_MAX = 300


def place() -> Path:
    """
    Return where the folder is, or will be; by its name nobody takes what lies in it for the user's own code.
    """
    digest = hashlib.blake2b(PINNED.read_bytes() + sys.version.encode(), digest_size=6).hexdigest()
    return FOLDER / f"peers-{digest}" / "site-packages"


def install() -> Path:
    """
    Return the folder with the pinned peers, installed by pip if it is not there yet.
    """
    made = place()
    if made.exists():
        return made
    print("Installing the peers (once; 45 MB on disk)", file=sys.stderr)
    unfinished = made.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile",
        "--target", str(unfinished), "--requirement", str(PINNED),
    ]  # fmt: skip
    done = subprocess.run(command, timeout=INSTALL_S_MAX, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not install the peers: {done.stderr.strip()}")
    unfinished.rename(made)
    return made


if __name__ == "__main__":
    install()

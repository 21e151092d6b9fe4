"""
`rung permissions`: what the database role may do, what would give it the rest, and the way without any access.

In        the flags
Out       lines that each say what may be done, in words or JSON; a shell script; an exit status
Not here  asking the database (adapters/permissions.py), what the script writes (adapters/planner/dumped.py)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rung import wire
from rung.errors import DatabaseNotGiven
from rung.surfaces.shapes import CheckShape, document
from rung.surfaces.terminal import EXIT_ANSWERED, print_json

SCRIPT_STEP = "rung permissions --script > planner-dump.sh"


def permissions(arguments: argparse.Namespace) -> int:
    """
    Ask, and print what was found; or print the script.
    """
    wire.require(*wire.TOOL_MODULES)
    return _script(as_json=arguments.json) if arguments.script else _role(arguments)


def _script(*, as_json: bool) -> int:
    from rung.adapters.planner.dumped import script

    if as_json:
        print_json(
            document("permissions", {"server": None, "version": None, "role": None, "checks": [], "script": script()})
        )
    else:
        print(script(), end="")
    return EXIT_ANSWERED


def _role(arguments: argparse.Namespace) -> int:
    from rung.adapters.permissions import look_at_role

    dsn = wire.database_of(wire.settings_of({}, folder=Path.cwd()), arguments.database)
    if dsn is None:
        raise DatabaseNotGiven(command="rung permissions")
    role = look_at_role(dsn)
    checks: list[CheckShape] = [
        {
            "about": "permission",
            "state": "ok" if one.given else "lacking",
            "text": one.text if one.given else f"{one.text}; for {one.needed_by}",
            "step": None if one.given else one.remedy,
        }
        for one in role.permissions
    ]
    if arguments.json:
        content = {"server": role.server, "version": role.version, "role": role.role, "checks": checks, "script": None}
        print_json(document("permissions", content))
        return EXIT_ANSWERED
    lines = [f"Role     {role.role} at {role.server}, PostgreSQL {role.version}", ""]
    for check in checks:
        lines.append(f"{check['state']:<8} {check['text']}")
        if check["step"]:
            lines.append(f"{'':<8} → {check['step']}")
    lines += [
        "",
        "Without any access: somebody who may read the database makes a dump for the planner",
        f"         {SCRIPT_STEP}",
        "",
        "  Next  rung find",
    ]
    print("\n".join(lines))
    return EXIT_ANSWERED

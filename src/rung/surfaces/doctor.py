"""
`rung doctor`: would a recording work here, what would it see, and what is missing.

In        the flags
Out       lines that each say what is so and what to do about it, in words or JSON; an exit status
Not here  looking (adapters/environment.py, adapters/permissions.py), what instruments know (known.py)
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rung import config, known, wire
from rung.adapters import environment
from rung.adapters.collector.views.asked import asked_for
from rung.adapters.environment import Interpreter, Place
from rung.adapters.launcher import BOOTSTRAP, SOCKET_PATH_BYTES_MAX
from rung.adapters.shelf import RECORDINGS
from rung.config import Settings
from rung.errors import RungError
from rung.surfaces.shapes import CheckShape, LibraryShape, SettingShape, document
from rung.surfaces.terminal import EXIT_ANSWERED, EXIT_CHECK_FAILED, print_json
from rung.units import show_bytes, show_seconds

OK, NOTE, LACKING, BROKEN = "ok", "note", "lacking", "broken"
MARKS = {OK: "ok", NOTE: "note", LACKING: "lacking", BROKEN: "BROKEN"}
PYTHON_SINCE = (3, 11)
FREE_BYTES_MIN = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Check:
    """
    One thing that was looked at, and what to do about it.
    """

    about: str
    state: str
    text: str
    step: str | None = None


def doctor(arguments: argparse.Namespace) -> int:
    """
    Look, and print what was found.
    """
    settings = wire.settings_of({}, folder=Path.cwd())
    python = environment.look_into(arguments.python or sys.executable)
    place = environment.look_at_folder(Path(settings.folder))
    libraries = list(libraries_of(python))
    checks = [
        *_interpreter(python),
        *_scripts(python),
        *_company(python),
        *_ways_out(),
        *_folder(place, settings),
        *_fleet(settings),
        *_tool(),
        *_libraries(libraries, python),
        *_database(arguments.database, settings),
        *_views(settings),
    ]
    works = all(check.state != BROKEN for check in checks)
    shown = _settings(settings)
    if arguments.json:
        content = {
            "works": works,
            "python": python.executable,
            "checks": [_shape(check) for check in checks],
            "libraries": libraries,
            "settings": shown,
        }
        print_json(document("doctor", content))
    else:
        print(_text(python, checks, libraries, shown, works=works))
    return EXIT_CHECK_FAILED if arguments.check and not works else EXIT_ANSWERED


def _shape(check: Check) -> CheckShape:
    return {"about": check.about, "state": check.state, "text": check.text, "step": check.step}


def _interpreter(python: Interpreter) -> Iterator[Check]:
    version = ".".join(map(str, python.version))
    if python.version < PYTHON_SINCE:
        yield Check("interpreter", BROKEN, f"Python {version} is too old", "run the app with Python 3.11 or newer")
    elif python.implementation != "cpython":
        yield Check("interpreter", NOTE, f"{python.implementation} {version}; tested is CPython")
    else:
        yield Check("interpreter", OK, f"Python {version} at {python.executable}")
    if python.recorded:
        yield Check("recorder", OK, "a process of this interpreter is recorded")
    elif not python.has_rung or not python.has_msgspec:
        missing = "rung" if not python.has_rung else "msgspec"
        text = f"{missing} is not installed for {python.executable}"
        yield Check("recorder", BROKEN, text, f"{python.executable} -m pip install rung")
    else:
        reason = python.said.splitlines()[-1] if python.said else "its start leaves PYTHONPATH or site out"
        yield Check("recorder", BROKEN, f"it did not start: {reason}", "start the app without python -I, -E or -S")
    if python.sitecustomize is not None:
        yield Check("sitecustomize", NOTE, f"{python.sitecustomize} runs as well, after the recorder's own")
    if os.environ.get("RUNG") == "off":
        yield Check("switch", BROKEN, "RUNG=off is set: nothing is recorded", "unset RUNG")


def _scripts(python: Interpreter) -> Iterator[Check]:
    for script in environment.scripts():
        recorded_by = f"rung record -- {python.executable} -m {script.name.replace('-', '_')} …"
        if not environment.same_interpreter(script, python.executable):
            text = f"{script.path} is run by {script.interpreter}, not by {python.executable}"
            yield Check(script.name, NOTE, text, f"{recorded_by}; or rung doctor --python {script.interpreter}")
        elif environment.leaves_recorder_out(script.flags):
            text = f"{script.path} begins with {script.interpreter} {script.flags}, which leaves the recorder out"
            yield Check(script.name, BROKEN, text, recorded_by)


def _company(python: Interpreter) -> Iterator[Check]:
    for name, company in known.OTHER_RECORDERS.items():
        if name in python.libraries:
            text = f"{company} ({name} {python.libraries[name]}) is installed: it wraps some of the same calls"
            yield Check("company", NOTE, text, "for figures without its cost, record once with it switched off")


def _ways_out() -> Iterator[Check]:
    path = os.environ.get("RUNG_SOCKET", "")
    if path:
        yield _socket(path)
        return
    temporary = environment.temporary_folder()
    if temporary is None:
        text = "no temporary folder can be written, where the collector's socket would be"
        yield Check("socket", BROKEN, text, "mount a /tmp, or rung record --raw")
    elif len(os.fsencode(temporary)) > SOCKET_PATH_BYTES_MAX - 20:
        yield Check("socket", NOTE, f"{temporary} is too long for a socket: it goes to /tmp")
    else:
        yield Check("socket", OK, f"the collector's socket goes to {temporary}")


def _socket(path: str) -> Check:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        text = f"RUNG_SOCKET has {length} bytes, a socket's path has at most {SOCKET_PATH_BYTES_MAX}"
        return Check("socket", BROKEN, text, "RUNG_SOCKET=/tmp/rung.socket")
    problem = environment.problem_of_socket(path)
    if problem is not None:
        text = f"nobody answers at RUNG_SOCKET={path}: {problem}"
        return Check("socket", BROKEN, text, f"rung collect --socket {path}")
    return Check("socket", OK, f"a collector listens at {path}")


def _folder(place: Place, settings: Settings) -> Iterator[Check]:
    elsewhere = "RUNG_FOLDER=/a/folder that can be written"
    if not place.writable:
        yield Check("folder", BROKEN, f"{place.folder} cannot be written", elsewhere)
    else:
        held = f", {show_bytes(place.held_bytes)} in use" if place.exists else ", not made yet"
        yield Check("folder", OK, f"recordings go to {place.folder}{held}")
    if place.free_bytes < FREE_BYTES_MIN:
        yield Check("disk", BROKEN, f"{show_bytes(place.free_bytes)} are free", elsewhere)
    elif place.free_bytes < settings.retain_bytes - place.held_bytes:
        text = f"{show_bytes(place.free_bytes)} are free, less than retain.bytes lets recordings take"
        yield Check("disk", NOTE, text, "RUNG_RETAIN_BYTES='500 MB'")
    else:
        yield Check("disk", OK, f"{show_bytes(place.free_bytes)} are free")
    if place.unsealed:
        text = f"{len(place.unsealed)} recordings go on, or ended without being sealed: {place.unsealed[0]}"
        yield Check("unsealed", NOTE, text, f"rm -r {place.folder}/recordings/NAME removes one that nobody writes")


def _fleet(settings: Settings) -> Iterator[Check]:
    prefix = settings.fleet_prefix
    if not prefix:
        return
    if importlib.util.find_spec("obstore") is None:
        text = f"{prefix} is not sent to: obstore is not installed here"
        yield Check("fleet", BROKEN, text, "pip install 'rung[tool]'")
        return
    from rung.adapters.fleet.sent import waiting
    from rung.adapters.fleet.store import Store

    try:
        Store(prefix).folders()
    except RungError as problem:
        yield Check("fleet", LACKING, problem.message, problem.why)
        return
    yield Check("fleet", OK, f"{prefix} answers, and is sent to each {show_seconds(settings.fleet_every_s)}")
    waits = waiting(Path(settings.folder) / RECORDINGS, prefix)
    if waits:
        text = f"{len(waits)} recordings are not there as a whole yet, the oldest {waits[0].name}"
        yield Check("fleet", NOTE, text, "rung push")


def _tool() -> Iterator[Check]:
    missing = [module for module in wire.TOOL_MODULES if importlib.util.find_spec(module) is None]
    if missing:
        text = f"the recorder alone is installed beside this command ({', '.join(missing)} missing)"
        yield Check("tool", NOTE, text, "rung record --raw here, then rung pack; or pip install 'rung[tool]'")
    else:
        yield Check("tool", OK, "the whole tool is installed")


def libraries_of(python: Interpreter) -> Iterator[LibraryShape]:
    """
    Yield the libraries of an environment that have to do with requests, and what is known of each.
    """
    for name, version in sorted(python.libraries.items()):
        library = known.library(name) if name not in known.WITHOUT else None
        if library is None and name not in known.WITHOUT:
            continue
        state = known.state_of(name, version)
        instrument = library.instrument if library is not None else None
        if instrument and not environment.has_instrument(instrument):
            instrument, state = None, known.UNKNOWN
        tested = ", ".join(library.tested) if library is not None else None
        yield {"name": name, "version": version, "instrument": instrument, "tested": tested, "state": state}


def _libraries(libraries: list[LibraryShape], python: Interpreter) -> Iterator[Check]:
    untested = [one for one in libraries if one["state"] == known.UNTESTED]
    unknown = [one for one in libraries if one["state"] == known.UNKNOWN]
    for one in untested:
        text = f"{one['name']} {one['version']}: the instrument was tested with {one['tested']}"
        yield Check("library", LACKING, text, "record a minute, and see whether rung find says that instruments failed")
    for one in unknown:
        text = f"{one['name']} {one['version']}: no instrument knows it"
        yield Check("library", LACKING, text, "read waiting on it in the share that rung find calls `other`")
    seen = len(libraries) - len(untested) - len(unknown)
    if seen:
        yield Check("library", OK, f"{seen} libraries are known")
    else:
        text = f"no known web framework or driver is installed for {python.executable}"
        yield Check("library", LACKING, text, "rung doctor --python PATH, with the app's own interpreter")


def _database(flag: str | None, settings: Settings) -> Iterator[Check]:
    if importlib.util.find_spec("psycopg") is None:
        return
    try:
        dsn = wire.database_of(settings, flag)
        if dsn is None:
            text = "none is named: recording works, plans and prices of indexes do not"
            yield Check("database", NOTE, text, "rung doctor --database postgresql://you@localhost/yourdb")
            return
        from rung.adapters.permissions import look_at_role

        role = look_at_role(dsn)
    except RungError as problem:
        yield Check("database", LACKING, problem.message, problem.steps[0][1])
        return
    yield Check("database", OK, f"PostgreSQL {role.version} at {role.server}, as {role.role}")
    for permission in role.permissions:
        if permission.given:
            yield Check("permission", OK, permission.text)
        else:
            yield Check("permission", LACKING, f"{permission.text}; for {permission.needed_by}", permission.remedy)


def _views(settings: Settings) -> Iterator[Check]:
    try:
        asked = asked_for(settings, "app")
    except RungError as problem:
        yield Check("views", LACKING, f"no metrics, and nothing is sent: {problem.message}", problem.steps[0][1])
        return
    if asked.listen is None:
        yield Check("metrics", NOTE, "none are served while recording", "RUNG_METRICS_LISTEN=on")
    else:
        host, port = asked.listen
        there = environment.who_listens(host, port) if port else environment.NOBODY
        if there == environment.SOMEBODY:
            text = f"something else listens at {host}:{port}: no metrics are served, recording works"
            yield Check("metrics", LACKING, text, f"RUNG_METRICS_LISTEN={host}:{port + 1}")
        else:
            state = "at this moment" if there == environment.RUNG else "while recording"
            yield Check("metrics", OK, f"served at http://{host}:{port}/metrics {state}")
    if asked.otlp:
        wrong = environment.problem_of_receiver(asked.otlp)
        if wrong is None:
            yield Check("otlp", OK, f"metrics, traces and logs go to {asked.otlp}")
        else:
            text = f"nobody answers at {asked.otlp}: {wrong}; recording works, and tries again"
            yield Check("otlp", LACKING, text, "start the receiver, or set otlp.endpoint")


def _settings(settings: Settings) -> list[SettingShape]:
    return [
        {"name": name, "value": _value(name, getattr(settings, row.name)), "source": settings.source(name)}
        for name, row in config.TABLE.items()
    ]


def _value(name: str, value: object) -> str:
    # A DSN may hold a password.
    if name == "database.url" and value and not str(value).startswith("env:"):
        return "given"
    field = config.TABLE[name].name
    if field.endswith("_s"):
        return show_seconds(float(str(value)))
    if "bytes" in field:
        return show_bytes(float(str(value)))
    return str(value)


def _text(
    python: Interpreter,
    checks: list[Check],
    libraries: list[LibraryShape],
    settings: list[SettingShape],
    *,
    works: bool,
) -> str:
    widest = max(len(check.about) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{MARKS[check.state]:<8} {check.about:<{widest}}  {check.text}")
        if check.step:
            lines.append(f"{'':<8} {'':<{widest}}  → {check.step}")
    lines += ["", "Libraries"]
    for one in libraries:
        by = one["instrument"] or ("–" if one["state"] == known.UNKNOWN else "a server: told, not instrumented")
        lines.append(f"  {one['name']:<18} {one['version']:<12} {one['state']:<9} {by}")
    lines += ["", "Settings"]
    lines += [f"  {one['name']:<22} {one['value'] or 'none':<18} {one['source']}" for one in settings]
    lines += ["", f"Bootstrap  {BOOTSTRAP}", ""]
    command = "rung record -- " + (f"{python.executable} -m " if python.executable != sys.executable else "")
    answer = "a recording would work here" if works else "a recording would NOT work here: see what is BROKEN"
    lines += [f"In short   {answer}", "", f"  Next  {command}uvicorn yourapp:app"]
    return "\n".join(lines)

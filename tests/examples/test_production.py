"""
The container files say what rung understands, and keep the promises of docs/production.md.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rung import config
from rung.surfaces.arguments import build_parser

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "production"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")
KUBERNETES = (FOLDER / "kubernetes.yaml").read_text("utf-8")


def commands() -> list[list[str]]:
    lists = re.findall(r"^(?:ENTRYPOINT|\s*command:) (\[.*\])$", DOCKERFILE + KUBERNETES, flags=re.MULTILINE)
    return [words for text in lists if (words := json.loads(text))[0] == "rung"]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_what_is_started_is_a_command_of_rung(words: list[str]) -> None:
    arguments = build_parser().parse_args(words[1:])
    assert arguments.command in {"record", "collect"}


def test_there_are_as_many_commands_as_are_started() -> None:
    assert 3 == len(commands())


def test_the_image_s_process_1_is_the_server_and_no_shell() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, flags=re.MULTILINE)
    (server,) = re.findall(r"^CMD (.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert "--" == json.loads(entry)[-1]
    assert "python" == json.loads(server)[0]
    assert re.search(r"^USER \d+", DOCKERFILE, flags=re.MULTILINE)


def test_settings_and_paths_are_the_same_on_both_sides() -> None:
    known = {config.variable(name) for name in config.TABLE} | {"RUNG_SOCKET", "RUNG_INSTANCE"}
    assert set(re.findall(r"\bRUNG_[A-Z_]+", DOCKERFILE + KUBERNETES)) <= known
    values = dict(re.findall(r"\{name: (RUNG_[A-Z_]+), value: ([^}]+)\}", KUBERNETES))
    given = {name: value for name, value in values.items() if name in known - {"RUNG_SOCKET"}}
    assert "3d" == values["RUNG_RETAIN_AGE"]
    config.settle(file_text=None, environ=given, flags={})
    (collected,) = [words for words in commands() if words[1] == "collect"]
    assert values["RUNG_SOCKET"] == collected[collected.index("--socket") + 1]


def test_the_root_is_read_only_and_nobody_is_root() -> None:
    assert "readOnlyRootFilesystem: true" in KUBERNETES
    assert "runAsNonRoot: true" in KUBERNETES
    assert KUBERNETES.count("securityContext: *locked") == KUBERNETES.count("securityContext: &locked") == 1

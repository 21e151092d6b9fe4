"""
Kept answers: equal after a round trip, private, and readable after a kill in the middle of a line.
"""

from __future__ import annotations

import resource
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rung.adapters.answers import AnswerFile
from rung.errors import AnswersUnwritable, RecordingBroken
from rung.ports import (
    ANSWERS,
    QUESTIONS,
    Costed,
    Costs,
    Describe,
    Explain,
    IndexUse,
    IndexUsed,
    Plan,
    PlanNode,
    Promise,
    Server,
    ServerFacts,
    Table,
    WhatIf,
)

for kind in (float, int, str):
    st.register_type_strategy(
        kind,
        {
            float: st.floats(allow_nan=False, allow_infinity=False),
            int: st.integers(-(2**63), 2**63 - 1),
            str: st.text(st.characters(exclude_categories=["Cs"])),
        }[kind],
    )
plans = st.builds(Plan, st.lists(st.builds(PlanNode), min_size=1, max_size=4).map(tuple))
answer_of = {
    Server: st.builds(ServerFacts),
    Explain: plans,
    Describe: st.builds(Table),
    WhatIf: st.builds(Promise, plans, plans),
    Costs: st.builds(Costed),
    IndexUse: st.builds(IndexUsed),
}
pairs = st.one_of(*(st.tuples(st.from_type(question), answer_of[question]) for question in QUESTIONS))


def test_every_kind_of_answer_has_its_strategy() -> None:
    assert set(QUESTIONS) == set(answer_of)
    assert set(ANSWERS) == {ServerFacts, Plan, Table, Promise, Costed, IndexUsed}


@settings(max_examples=30, deadline=None)
@given(kept=st.lists(pairs, max_size=4))
def test_kept_answers_are_equal_after_a_round_trip(tmp_path_factory: pytest.TempPathFactory, kept: Any) -> None:
    folder = tmp_path_factory.mktemp("answers")
    written = AnswerFile(folder, "one", fresh=False)
    for question, answer in kept:
        written.keep(question, answer)

    read = AnswerFile(folder, "one", fresh=False)
    for question, answer in dict(kept).items():
        assert answer == read.kept(question) == written.kept(question)
        assert type(answer) is type(read.kept(question))


SERVER = ServerFacts("18.6", "shop", "app")
PLAN = Plan((PlanNode(0, "Seq Scan", "orders", "public", "", 1.5, 2.0, "Filter: (id = $1)"),))


def test_the_file_is_private_and_named_after_the_recording(tmp_path: Path) -> None:
    answers = AnswerFile(tmp_path, "/elsewhere/2026-11-23T20-33-05Z-app", fresh=False)
    assert answers.kept(Server()) is None
    assert not answers.path.exists()
    answers.keep(Server(), SERVER)

    assert tmp_path / "answers/2026-11-23T20-33-05Z-app.jsonl" == answers.path
    assert 0o600 == stat.S_IMODE(answers.path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(answers.path.parent.stat().st_mode)


def test_a_recording_that_is_named_by_a_dot_has_its_own_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path.name}.jsonl" == AnswerFile(tmp_path, ".", fresh=False).path.name


def test_fresh_asks_anew(tmp_path: Path) -> None:
    AnswerFile(tmp_path, "one", fresh=False).keep(Server(), SERVER)
    fresh = AnswerFile(tmp_path, "one", fresh=True)
    assert fresh.kept(Server()) is None
    fresh.keep(Server(), ServerFacts("18.7", "shop", "app"))

    assert ServerFacts("18.7", "shop", "app") == AnswerFile(tmp_path, "one", fresh=False).kept(Server())
    assert 1 == len(fresh.path.read_bytes().splitlines())


def test_half_a_line_at_the_end_is_asked_anew(tmp_path: Path) -> None:
    first = AnswerFile(tmp_path, "one", fresh=False)
    first.keep(Server(), SERVER)
    whole_bytes = first.path.stat().st_size
    first.keep(Explain("select 'größer'"), PLAN)
    content = first.path.read_bytes()

    for length in range(whole_bytes, len(content)):
        first.path.write_bytes(content[:length])
        again = AnswerFile(tmp_path, "one", fresh=False)
        assert SERVER == again.kept(Server())
        assert again.kept(Explain("select 'größer'")) is None
        again.keep(Explain("select 'größer'"), PLAN)
        assert content == first.path.read_bytes()


@pytest.mark.parametrize(
    "line", [b"nonsense", b"{}", b"[]", b"\xff\xfe", b'{"question": {"kind": "Nothing", "value": {}}}']
)
def test_a_line_that_is_no_answer_is_told_with_its_number(tmp_path: Path, line: bytes) -> None:
    answers = AnswerFile(tmp_path, "one", fresh=False)
    answers.keep(Server(), SERVER)
    with answers.path.open("ab") as file:
        file.write(line + b"\n")

    with pytest.raises(RecordingBroken, match=r"one\.jsonl:2 .*delete the file to ask anew"):
        AnswerFile(tmp_path, "one", fresh=False)


def test_a_full_disk_is_told_and_leaves_no_half_line(tmp_path: Path) -> None:
    answers = AnswerFile(tmp_path, "one", fresh=False)
    answers.keep(Server(), SERVER)
    whole = answers.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, limits[1]))
    try:
        with pytest.raises(AnswersUnwritable):
            answers.keep(Explain("select 1"), PLAN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert whole == answers.path.read_bytes()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("in the way")
    with pytest.raises(AnswersUnwritable):
        AnswerFile(tmp_path, "one", fresh=False).keep(Server(), SERVER)

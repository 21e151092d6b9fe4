"""
Object stores and the other services of AWS: each call once, also in the threads of a transfer, and nothing of what.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.probe.outside import aws
from tests.probe.player import Played, play
from tests.probe.serving import line_of


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Played:
    with aws() as url:
        return play("scenes_storage", AWS_URL=url, FOLDER=str(tmp_path_factory.mktemp("storage")))


def _line(mark: str) -> str:
    return str(Path("tests", "probe") / line_of(mark, "scenes_storage.py"))


def test_everything_is_as_it_is_unrecorded(seen: Played) -> None:
    assert seen.plain == seen.recorded
    assert {} == seen.failures


def test_a_call_of_s3_is_one_and_so_is_reading_its_body_whole(seen: Played) -> None:
    assert ["external storage"] * 4 == seen.names("with_s3", "external")
    put, _, body, _ = seen.of("with_s3", "external")
    assert (_line("put"), _line("body")) == (put["code"], body["code"])


def test_small_pieces_of_a_body_are_not_told_one_by_one(seen: Played) -> None:
    assert ["external storage"] * 2 == seen.names("with_pieces", "external")


def test_a_transfer_belongs_to_its_request_with_its_threads(seen: Played) -> None:
    # It is begun, its two parts are put, it is completed; then its size is asked for.
    assert ["external storage"] * 5 == seen.names("with_transfer", "external")
    assert seen.of("with_transfer", "threads")
    assert _line("transfer") == seen.of("with_transfer", "external")[0]["code"]


def test_other_services_are_told_by_their_name(seen: Played) -> None:
    assert ["external sqs"] * 3 == seen.names("with_sqs", "external")


def test_obstore_at_once_and_later(seen: Played) -> None:
    assert ["external storage"] * 4 == seen.names("with_obstore", "external")
    assert _line("obstore") == seen.of("with_obstore", "external")[0]["code"]
    assert ["external storage"] * 4 == seen.names("with_obstore_async", "external")
    assert _line("obstore async") == seen.of("with_obstore_async", "external")[0]["code"]


def test_a_folder_is_files_and_memory_is_nothing(seen: Played) -> None:
    assert ["file storage"] * 2 == seen.names("in_memory_and_folders", "external", "file", "cache")


def test_nothing_that_the_app_handed_over_is_kept(seen: Played) -> None:
    kept = str(seen.segments)
    assert not [word for word in ("127.0.0.1", "bucket-", "secret", "missing", "large", "queue-") if word in kept]

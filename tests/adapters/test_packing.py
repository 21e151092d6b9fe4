"""
Carrying recordings: what comes out is what went in, and nothing else gets in.
"""

from __future__ import annotations

import io
import json
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from rung.adapters import packing
from rung.adapters.collector import raw
from rung.adapters.packing import brought, pack, sources_of, unpacked
from rung.adapters.recordings import ParquetRecording
from rung.adapters.shelf import find_recording, told_by
from rung.errors import FileUnwritable, PackRefused, RecordingMissing, UsageError
from rung.ports import Rows
from tests.adapters.raw_frames import batch, written

NAME, LATER = "2026-11-23T10-00-00Z-shop", "2026-11-23T11-00-00Z-shop"


def recorded(data: Path, name: str = NAME, *, worker: int = 7, instance: str = "i") -> Path:
    frames = written(
        data.parent / f"frames-{name}-{worker}-{instance}", worker, batch(1, 2, dropped=1), instance=instance
    )
    target = data / "recordings" / name
    raw.convert([frames], target, name=name[21:])
    manifest = told_by(target)
    manifest.pop("raw")
    (target / "recording.json").write_text(json.dumps(manifest))
    return target


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def requests_of(data: Path, name: str) -> int:
    (count,) = ParquetRecording(data / "recordings" / name).rows(Rows("select count(*) as n from requests"))["n"]
    return int(count)


def test_a_recording_comes_out_as_it_went_in(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    source = recorded(here)
    (here / "answers").mkdir()
    (here / "answers" / f"{NAME}.jsonl").write_text("{}\n")
    packed = pack(here, sources_of(here, []), tmp_path / "shop.rung", name=None)
    assert (NAME, False, (NAME,)) == (packed.name, packed.raw, packed.sources)
    assert 0o600 == (tmp_path / "shop.rung").stat().st_mode & 0o777

    assert NAME == brought(there, str(tmp_path / "shop.rung"))
    assert contents(source) == contents(there / "recordings" / NAME)
    assert "{}\n" == (there / "answers" / f"{NAME}.jsonl").read_text()
    assert "*\n" == (there / ".gitignore").read_text()
    # Once: the second time it lies there already.
    assert NAME == brought(there, str(tmp_path / "shop.rung"))
    assert [NAME] == [path.name for path in (there / "recordings").iterdir()]
    assert NAME == find_recording(there, None)


def test_the_same_packs_to_the_same_and_to_a_pipe(tmp_path: Path) -> None:
    sources = [recorded(tmp_path / "data")]
    written_bytes = []
    for _ in range(2):
        pack(tmp_path, sources, tmp_path / "a.rung", name=None)
        written_bytes.append((tmp_path / "a.rung").read_bytes())
    assert written_bytes[0] == written_bytes[1]

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    pack(tmp_path, sources, pipe, name=None)
    (tmp_path / "b.rung").write_bytes(pipe.getvalue())
    assert NAME == unpacked(tmp_path / "there", tmp_path / "b.rung")
    assert contents(sources[0]) == contents(tmp_path / "there" / "recordings" / NAME)


def test_another_recording_of_that_name_stays(tmp_path: Path) -> None:
    there = tmp_path / "there"
    recorded(there, worker=9)
    pack(tmp_path, [recorded(tmp_path / "here")], tmp_path / "shop.rung", name=None)
    assert f"{NAME}-2" == brought(there, str(tmp_path / "shop.rung"))
    assert f"{NAME}-2" == brought(there, str(tmp_path / "shop.rung"))


def test_recordings_of_several_instances_are_read_together(tmp_path: Path) -> None:
    first, second = recorded(tmp_path / "a", instance="a"), recorded(tmp_path / "b", LATER, instance="b")
    packed = pack(tmp_path, [second, first], tmp_path / "both.rung", name="both")
    assert "2026-11-23T10-00-00Z-both" == packed.name
    name = unpacked(tmp_path / "there", tmp_path / "both.rung")
    told = told_by(tmp_path / "there" / "recordings" / name)
    assert (True, 2, 4, 2) == (told["sealed"], told["processes"], told["requests"], told["dropped"]["requests"])
    assert [LATER, NAME] == told["merged"]
    assert 4 == requests_of(tmp_path / "there", name)
    with pytest.raises(UsageError, match="named twice"):
        sources_of(tmp_path, [str(first), f"{first}/."])


def test_recordings_of_other_formats_are_not_read_together(tmp_path: Path) -> None:
    first, second = recorded(tmp_path / "a"), recorded(tmp_path / "b", LATER)
    (second / "recording.json").write_text(json.dumps(told_by(second) | {"format": 1}))
    with pytest.raises(UsageError, match="formats 1 and 2"):
        pack(tmp_path, [first, second], tmp_path / "both.rung", name="both")
    assert not (tmp_path / "both.rung").exists()


def test_raw_frames_become_a_recording_once_and_again_when_they_grew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    written(data / "raw" / NAME, 7, batch(1))
    assert NAME == brought(data, None)
    before = (data / "recordings" / NAME / "recording.json").stat()
    assert NAME == find_recording(data, brought(data, "shop")) == brought(data, str(data / "raw" / NAME))
    assert before.st_ino == (data / "recordings" / NAME / "recording.json").stat().st_ino
    written(data / "raw" / NAME, 8, batch(1))
    assert NAME == brought(data, str(data / "raw" / NAME))
    assert 2 == requests_of(data, NAME)
    # A recording that is newer is what is asked for without a name, and one that is known is not looked for.
    recorded(data, LATER)
    assert (None, LATER) == (brought(data, None), brought(data, LATER))
    assert "nothing" == brought(data, "nothing")


def test_raw_frames_are_packed_as_they_are_without_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, instance in ((NAME, "a"), (LATER, "b")):
        written(tmp_path / "data" / "raw" / name, 7, batch(1), instance=instance)
    with monkeypatch.context() as without:
        without.setattr(packing, "_can_convert", lambda: False)
        sources = sources_of(tmp_path / "data", [NAME, LATER])
        packed = pack(tmp_path / "data", sources, tmp_path / "both.rung", name="both")
        assert packed.raw
        assert LATER == sources_of(tmp_path / "data", [])[0].name
    name = brought(tmp_path / "there", str(tmp_path / "both.rung"))
    assert "2026-11-23T10-00-00Z-both" == name
    assert 2 == requests_of(tmp_path / "there", name)
    assert name == brought(tmp_path / "there", str(tmp_path / "both.rung"))


def test_raw_frames_and_recordings_are_read_together(tmp_path: Path) -> None:
    data = tmp_path / "data"
    recorded(data, instance="a")
    written(data / "raw" / LATER, 7, batch(1), instance="b")
    packed = pack(data, sources_of(data, [NAME, LATER]), tmp_path / "both.rung", name="both")
    assert not packed.raw
    assert 3 == requests_of(tmp_path / "there", unpacked(tmp_path / "there", tmp_path / "both.rung"))


def test_what_is_being_made_or_removed_is_no_recording_yet(tmp_path: Path) -> None:
    for name in (".raw-x", ".unpack-x", f".removed-{NAME}"):
        (tmp_path / "recordings" / name).mkdir(parents=True)
        (tmp_path / "recordings" / name / "recording.json").write_bytes(MANIFEST)
    with pytest.raises(RecordingMissing):
        find_recording(tmp_path, None)


def test_nothing_to_pack_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingMissing):
        sources_of(tmp_path, [])
    with pytest.raises(RecordingMissing, match="'x'"):
        sources_of(tmp_path, ["x"])


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileUnwritable):
        pack(tmp_path, [recorded(tmp_path / "data")], tmp_path / "none" / "shop.rung", name=None)


def zipped(path: Path, *members: tuple[str, bytes], mode: int = stat.S_IFREG | 0o600) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, content)
    return path


MANIFEST = b'{"format": 2, "sealed": true}'
UNSAFE = {
    "up": [(f"{NAME}/../../x", b"")],
    "up by its folder": [("../x/recording.json", MANIFEST)],
    "absolute": [("/srv/recording.json", MANIFEST)],
    "deeper": [(f"{NAME}/a/recording.json", MANIFEST)],
    "another kind of file": [(f"{NAME}/recording.json", MANIFEST), (f"{NAME}/run.py", b"")],
    "hidden": [(f"{NAME}/.recording.json", MANIFEST)],
    "a folder not named as recordings are": [("shop/recording.json", MANIFEST)],
    "two recordings": [(f"{NAME}/recording.json", MANIFEST), (f"{LATER}/recording.json", MANIFEST)],
    "nothing": [],
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_a_file_that_holds_what_no_recording_holds_is_refused(tmp_path: Path, kind: str) -> None:
    path = zipped(tmp_path / "shop.rung", *UNSAFE[kind])
    with pytest.raises(PackRefused):
        unpacked(tmp_path / "data", path)
    assert [path] == [found for found in tmp_path.rglob("*") if found.is_file() and found.name != ".gitignore"]


def test_links_and_twice_the_same_are_refused(tmp_path: Path) -> None:
    link = zipped(tmp_path / "a.rung", (f"{NAME}/recording.json", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = zipped(tmp_path / "b.rung", *[(f"{NAME}/recording.json", MANIFEST)] * 2)
    for path in (link, twice):
        with pytest.raises(PackRefused):
            unpacked(tmp_path / "data", path)
    assert not (tmp_path / "data").exists()


def test_more_than_there_is_room_for_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tmp_path, [recorded(tmp_path / "here")], tmp_path / "shop.rung", name=None)
    monkeypatch.setattr(packing, "UNPACKED_BYTES_MAX", 1000)
    with pytest.raises(PackRefused, match="there is room for"):
        unpacked(tmp_path / "there", tmp_path / "shop.rung")
    assert [] == list((tmp_path / "there" / "recordings").iterdir())


def test_a_file_cut_short_or_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    pack(tmp_path, [recorded(tmp_path / "here")], tmp_path / "shop.rung", name=None)
    whole = (tmp_path / "shop.rung").read_bytes()
    changed = bytearray(whole)
    changed[whole.index(b"PAR1") + 6] ^= 0xFF
    for content in (whole[:-100], whole[: len(whole) // 2], bytes(changed), b"", b"hello"):
        (tmp_path / "shop.rung").write_bytes(content)
        with pytest.raises(PackRefused):
            unpacked(tmp_path / "there", tmp_path / "shop.rung")
        shutil.rmtree(tmp_path / "there" / "recordings" / NAME, ignore_errors=True)
        assert [] == list((tmp_path / "there").glob("recordings/*"))

"""
Sending: whole and once, whatever comes in between.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rung.adapters.fleet import push as pushing
from rung.adapters.fleet.gather import gathered
from rung.adapters.fleet.push import push
from rung.adapters.fleet.pusher import Pusher
from rung.adapters.fleet.sent import STATE, begin, waiting
from rung.adapters.fleet.store import Store
from rung.adapters.opening import opened
from rung.adapters.shelf import RECORDINGS, held
from rung.errors import (
    BucketMissing,
    RecordingBroken,
    RecordingMissing,
    RungError,
    StoreDenied,
    StoreRefused,
    StoreUnreachable,
)
from rung.ports import Rows
from tests.fleets.conftest import Bucket
from tests.fleets.simulated import Fleet, write
from tests.ports import free_port

SMALL = Fleet(hosts=1, instances=2, hours=2, requests=5)
COUNT = Rows("select count(*) as n, count(distinct (host, instance, worker, request)) as different from requests")
PATIENCE_S = 60.0


def small(folder: Path, *, seal: bool = True, hours: tuple[int, ...] = (0, 1)) -> Path:
    return write(folder, SMALL, [(0, 0), (0, 1)], hours, name="shop", host="host-0", database=0, seal=seal)


def counted(data: Path, prefix: str) -> tuple[int, int]:
    """
    How many requests a fleet's reader finds, and how many different ones.
    """
    name = gathered(data, prefix, since_s=0.0)
    found = opened(data / RECORDINGS / name).rows(COUNT)
    return int(found["n"][0]), int(found["different"][0])


class Broken(Store):
    """
    A store that is gone after so many objects.
    """

    def __init__(self, url: str, *, after: int) -> None:
        super().__init__(url)
        self.left = after

    def put(self, key: str, content: bytes | Path) -> bool:
        if self.left == 0:
            raise StoreUnreachable(self.url, "no answer")
        self.left -= 1
        return super().put(key, content)


def test_what_is_there_is_not_sent_again(tmp_path: Path) -> None:
    folder, store = small(tmp_path / "host"), Store(f"file://{tmp_path}/store")
    first = push(folder, store)
    again = push(folder, store)
    (folder / STATE).unlink()
    anew = push(folder, store)

    assert first.ended
    assert first.objects == len(list(folder.glob("*.parquet"))) + 1
    assert (0, True) == (again.objects, again.ended)
    assert (0, first.objects) == (anew.objects, anew.already)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_interrupted_push_is_gone_on_with(tmp_path: Path, after: int) -> None:
    """
    Until the manifest is there nobody reads any of it; then all of it, once.
    """
    folder, prefix = small(tmp_path / "host"), f"file://{tmp_path}/store"
    with pytest.raises(StoreUnreachable):
        push(folder, Broken(prefix, after=after))
    with pytest.raises(RecordingMissing):
        gathered(tmp_path / "reader", prefix, since_s=0.0)
    assert [folder] == waiting(folder.parent, prefix)
    rest = push(folder, Store(prefix))

    assert rest.ended
    assert after == rest.already
    assert [] == waiting(folder.parent, prefix)
    requests, different = counted(tmp_path / "reader", prefix)
    assert requests == different > 0


KILLED = """
import sys, time
from pathlib import Path
from rung.adapters.fleet.push import push
from rung.adapters.fleet.store import Store
class Slow(Store):
    def put(self, key, content):
        done = super().put(key, content)
        print(key, flush=True)
        time.sleep(0.3)
        return done
push(Path(sys.argv[1]), Slow(sys.argv[2]))
"""


def test_a_push_that_is_killed_is_gone_on_with_over_s3(tmp_path: Path, bucket: Bucket) -> None:
    folder = small(tmp_path / "host")
    command = [sys.executable, "-c", KILLED, str(folder), bucket.prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sending:
        assert sending.stdout is not None
        assert sending.stdout.readline().strip()
        sending.kill()
    before = bucket.listed()
    assert before
    assert not any(key.endswith("recording.json") for key in before)
    rest = push(folder, Store(bucket.prefix))

    keys = bucket.listed()
    assert rest.ended
    assert len(keys) == rest.objects + rest.already
    assert len(before) <= rest.already
    requests, different = counted(tmp_path / "reader", bucket.prefix)
    assert requests == different > 0


def test_parts_that_were_planned_are_sent_as_planned(tmp_path: Path) -> None:
    """
    What came after an interrupted time goes under the next number, so that no row is in two objects.
    """
    folder, prefix = small(tmp_path / "host", seal=False, hours=(0,)), f"file://{tmp_path}/store"
    lock = held(folder)  # as its collector does
    assert lock is not None
    with pytest.raises(StoreUnreachable):
        push(folder, Broken(prefix, after=2))
    with pytest.raises(RecordingMissing):
        gathered(tmp_path / "reader", prefix, since_s=0.0)
    for part in sorted(folder.glob("*-000001.parquet")):
        shutil.copy(part, part.with_name(part.name.replace("000001", "000002")))
    push(folder, Store(prefix))
    half = counted(tmp_path / "reader", prefix)
    push(folder, Store(prefix))
    twice = counted(tmp_path / "reader", prefix)
    os.close(lock)

    assert half[0] == half[1] > 0
    assert twice[0] == 2 * half[0]  # the copies are rows of their own here
    state = json.loads((folder / STATE).read_text("utf-8"))[prefix]
    assert 2 == state["number"]
    assert 2 == state["through"]["requests"]
    assert not state.get("ended")


def test_a_killed_collector_s_recording_is_sent_whole_by_the_next_one(tmp_path: Path) -> None:
    """
    Its parts were sent while it lived; then all of it, in place of them.
    """
    folder, prefix = small(tmp_path / "host", seal=False), f"file://{tmp_path}/store"
    lock = held(folder)
    push(folder, Store(prefix))
    under_way = counted(tmp_path / "reader", prefix)
    assert lock is not None
    os.close(lock)
    following = small(tmp_path / "host", hours=(1,))
    pusher = Pusher(prefix, every_s=60.0, say=lambda _: None)
    pusher.begin(following)
    pusher.end(PATIENCE_S)

    assert [] == waiting(folder.parent, prefix)
    requests, different = counted(tmp_path / "reader", prefix)
    assert under_way[0] == under_way[1] == different
    # The following one simulates the same requests as the second hour of the first.
    assert requests == under_way[0] + under_way[0] // 2
    assert not list(folder.glob(".sent-*"))


def test_one_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    prefix = f"file://{tmp_path}/store"
    broken, whole = small(tmp_path / "host"), small(tmp_path / "host", hours=(1,))
    begin(broken, prefix)
    (broken / "recording.json").write_text("{", "utf-8")
    said: list[str] = []
    pusher = Pusher(prefix, every_s=60.0, say=said.append)
    pusher.begin(whole)
    pusher.end(PATIENCE_S)

    assert [broken] == waiting(whole.parent, prefix)
    assert list((tmp_path / "store" / whole.name).glob("*/recording.json"))
    assert ["not all was sent" in line for line in said] == [True]


def test_one_that_is_being_sent_is_left_alone(tmp_path: Path) -> None:
    folder, store = small(tmp_path / "host"), Store(f"file://{tmp_path}/store")
    (folder / pushing.SENDING).touch()
    lock = held(folder / pushing.SENDING)
    assert lock is not None
    busy = push(folder, store)
    os.close(lock)

    assert busy.busy
    assert [] == store.objects("")
    assert push(folder, store).ended


def test_another_object_of_that_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    folder, store = small(tmp_path / "host"), Store(f"file://{tmp_path}/store")
    push(folder, store)
    place = next((tmp_path / "store").glob("*/*"))
    (folder / STATE).unlink()
    (place / "recording.json").unlink()
    (place / "requests.parquet").write_bytes(b"something else")
    with pytest.raises(StoreRefused, match="another object of that name"):
        push(folder, store)

    assert b"something else" == (place / "requests.parquet").read_bytes()
    assert not (place / "recording.json").exists()


def test_sending_goes_on_when_the_network_does(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nobody answers at first; the recording is made all the same, and sent later, with one line for each change.
    """
    folder, said = small(tmp_path / "host"), list[str]()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    pusher = Pusher(bucket.prefix, every_s=0.2, say=said.append)
    pusher.begin(folder)
    until = time.monotonic() + PATIENCE_S
    while not said and time.monotonic() < until:
        time.sleep(0.05)
    assert "cannot be reached" in said[0]
    assert "canary" not in said[0]
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    pusher._store = None
    while len(said) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    pusher.end(PATIENCE_S)

    assert f"rung: recordings are sent to {bucket.prefix} again\n" == said[1]
    assert [] == waiting(folder.parent, bucket.prefix)
    assert any(key.endswith("/recording.json") for key in bucket.listed())


def test_a_store_that_has_no_such_bucket(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(BucketMissing):
        push(small(tmp_path), Store("s3://rung-nobody-made-it/fleet"))
    with pytest.raises(BucketMissing):
        gathered(tmp_path, "s3://rung-nobody-made-it/fleet")


ANSWERS = {
    "AccessDenied": (403, StoreDenied),
    "InvalidAccessKeyId": (403, StoreDenied),
    "SignatureDoesNotMatch": (403, StoreDenied),
    "RequestTimeTooSkewed": (403, StoreRefused),
    "AuthorizationHeaderMalformed": (400, StoreRefused),
    "SlowDown": (400, StoreRefused),
}


@pytest.mark.parametrize("code", ANSWERS)
def test_what_a_store_answers_is_told_by_its_code_alone(
    code: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A store's own words quote keys: here the one that was sent.
    """
    status, kind = ANSWERS[code]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><AWSAccessKeyId>canary-key-id</AWSAccessKeyId></Error>"
    answer = f"HTTP/1.1 {status} No\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(kind) as raised:
            push(small(tmp_path), Store(bucket.prefix))
        server.shutdown(socket.SHUT_RDWR)
    problem = raised.value
    assert isinstance(problem, RungError)
    assert code in problem.message
    assert "canary" not in f"{problem.message} {problem.why} {problem.steps}"


def test_a_recording_that_is_sealed_meanwhile_is_tried_again(tmp_path: Path) -> None:
    folder = small(tmp_path / "host", seal=False)
    store = Store(f"file://{tmp_path}/store")
    lock = held(folder)
    assert lock is not None
    with pytest.raises(StoreUnreachable):
        push(folder, Broken(store.url, after=0))
    (folder / "requests-000001.parquet").unlink()
    with pytest.raises(RecordingBroken):
        push(folder, store)
    os.close(lock)

"""
Scenes: object stores and queues, by boto3 and by obstore.  Lines are asked for by their marks.
"""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import boto3
import obstore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import LocalStore, MemoryStore, S3Store

URL = os.environ["AWS_URL"]
FOLDER = Path(os.environ["FOLDER"])
BUCKET = f"bucket-{os.getpid()}"
ACCOUNT = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
LARGE = 6 * 1024 * 1024  # of S3, at least 5 MiB to a part


def _client(service: str) -> Any:
    return boto3.client(service, endpoint_url=URL, config=Config(s3={"addressing_style": "path"}), **ACCOUNT)


_s3 = _client("s3")
_s3.create_bucket(Bucket=BUCKET)
_sqs = _client("sqs")


def _store() -> S3Store:
    return S3Store(
        BUCKET, endpoint=URL, access_key_id="none", secret_access_key="none", region="us-east-1",
        client_options={"allow_http": True}, virtual_hosted_style_request=False,
    )  # fmt: skip


def with_s3() -> Any:
    _s3.put_object(Bucket=BUCKET, Key="secret", Body=b"some bytes")  # MARK put
    answer = _s3.get_object(Bucket=BUCKET, Key="secret")
    saw: list[Any] = [sorted(answer), answer["Body"].read().decode()]  # MARK body
    try:
        _s3.get_object(Bucket=BUCKET, Key="missing")
    except ClientError as error:
        saw.append(error.response["Error"]["Code"])
    return saw


def with_pieces() -> Any:
    _s3.put_object(Bucket=BUCKET, Key="pieces", Body=b"x" * 5000)
    body = _s3.get_object(Bucket=BUCKET, Key="pieces")["Body"]
    return [len(part) for part in body.iter_chunks(1000)]


def with_transfer() -> Any:
    config = TransferConfig(multipart_threshold=LARGE, multipart_chunksize=LARGE, max_concurrency=2)
    _s3.upload_fileobj(io.BytesIO(b"x" * (2 * LARGE)), BUCKET, "large", Config=config)  # MARK transfer
    return _s3.head_object(Bucket=BUCKET, Key="large")["ContentLength"]


def with_sqs() -> Any:
    queue = _sqs.create_queue(QueueName=f"queue-{os.getpid()}")["QueueUrl"]
    _sqs.send_message(QueueUrl=queue, MessageBody="secret")
    return [message["Body"] for message in _sqs.receive_message(QueueUrl=queue)["Messages"]]


def with_obstore() -> Any:
    store = _store()
    obstore.put(store, "secret", b"some bytes")  # MARK obstore
    saw: list[Any] = [bytes(store.get("secret").bytes()).decode(), store.head("secret")["size"]]
    try:
        store.get("missing")
    except FileNotFoundError as error:
        saw.append(type(error).__name__)
    return saw


async def with_obstore_async() -> Any:
    store = _store()
    putting = obstore.put_async(store, "secret", b"some bytes")  # MARK obstore async
    saw: list[Any] = [type(putting).__name__]
    await putting
    saw.append(bytes(await (await store.get_async("secret")).bytes_async()).decode())
    answers = await asyncio.gather(*(store.head_async(key) for key in ("secret", "secret")))
    return [*saw, [answer["size"] for answer in answers]]


def in_memory_and_folders() -> Any:
    memory, folder = MemoryStore(), LocalStore(FOLDER)
    memory.put("secret", b"some")
    folder.put(f"secret-{os.getpid()}", b"some")
    return [memory.head("secret")["size"], bytes(folder.get(f"secret-{os.getpid()}").bytes()).decode()]

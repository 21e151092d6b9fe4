"""
Scenes: calls of other services, of Redis, and local files.  Lines are asked for by their marks.
"""

from __future__ import annotations

import copy
import inspect
import io
import os
import pathlib
import smtplib
import tempfile
import urllib.request
from typing import Any

import aiohttp
import httpx
import redis
import redis.asyncio
import requests
import urllib3

URL = os.environ["WEB_URL"]
FOLDER = pathlib.Path(os.environ["FOLDER"])
REDIS_URL = os.environ["REDIS_URL"]
KEY = f"key-{os.getpid()}"


def with_httpx() -> Any:
    with httpx.Client(follow_redirects=True) as client:
        moved = client.get(f"{URL}/moved")  # MARK httpx first
        with client.stream("GET", f"{URL}/ok") as response:  # MARK httpx second
            text = response.read().decode()
        try:
            client.get("http://127.0.0.1:1")
        except httpx.ConnectError as error:
            return [type(moved).__name__, moved.text, len(moved.history), text, type(error).__name__]


async def with_httpx_async() -> Any:
    async with httpx.AsyncClient(follow_redirects=True) as client:
        moved = await client.get(f"{URL}/moved")  # MARK httpx async
        return [type(moved).__name__, moved.text, len(moved.history)]


def with_requests() -> Any:
    response = requests.get(f"{URL}/moved", timeout=30)  # MARK requests
    try:
        requests.get("http://127.0.0.1:1", timeout=30)
    except requests.ConnectionError as error:
        return [type(response).__name__, response.text, len(response.history), type(error).__name__]


def with_urllib3() -> Any:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", f"{URL}/ok")
        return [type(response).__name__, response.data.decode()]


def with_urllib() -> Any:
    with urllib.request.urlopen(f"{URL}/moved") as response:
        return [type(response).__name__, response.read().decode()]


async def with_aiohttp() -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{URL}/moved") as response:
        return [type(response).__name__, await response.text(), len(response.history)]


def with_smtplib() -> Any:
    with smtplib.SMTP("127.0.0.1", int(os.environ["SMTP_PORT"])) as server:
        try:
            server.login("you", "secret")
        except smtplib.SMTPNotSupportedError as error:
            return type(error).__name__


def with_redis() -> Any:
    client = redis.Redis.from_url(REDIS_URL)
    saw: list[Any] = [client.set(KEY, 1), client.get(KEY).decode()]  # MARK redis
    with client.pipeline() as pipeline:
        pipeline.incr(KEY)
        saw.append(pipeline.get(KEY).execute()[0])
    try:
        client.execute_command("NOTHING")
    except redis.ResponseError as error:
        saw.append(type(error).__name__)
    client.close()
    return saw


async def with_redis_async() -> Any:
    client = redis.asyncio.Redis.from_url(REDIS_URL)
    saw = [await client.set(KEY, 1), (await client.get(KEY)).decode()]
    async with client.pipeline() as pipeline:
        await pipeline.watch(KEY)
        pipeline.multi()
        saw.append((await pipeline.incr(KEY).execute())[0])
    await client.aclose()
    return saw


class Holder:
    opener = open  # as a class may hold a builtin, which is no method


# ruff: noqa: PTH123 - open itself is what is looked at here


def with_files() -> Any:
    path = FOLDER / f"{os.getpid()}.txt"
    saw: list[Any] = [type(path.open("w").close()).__name__]
    with open(path, mode="a", encoding="utf-8") as file:  # MARK file
        saw.append(type(file).__name__)
        file.write("more")
    with open(path, encoding="utf-8") as file:
        saw.append(file.read())
    saw.append(path.write_text("some", encoding="utf-8"))
    with Holder().opener(path, "rb+") as file:
        saw.append(file.write(b"x"))
    with open(os.devnull, "w", encoding="utf-8") as file:
        saw.append(file.write("gone"))
    reading, writing = os.pipe()
    os.close(reading)
    open(writing, "wb").close()
    with tempfile.NamedTemporaryFile() as file:
        saw.append(file.write(b"xy"))
    try:
        open(FOLDER / "no" / "where", "w", encoding="utf-8").close()
    except FileNotFoundError as error:
        saw.append(error.errno)
    saw += [repr(open), open.__name__, open is io.open is copy.deepcopy(open), str(inspect.signature(open))]
    path.unlink()
    return saw

"""
Cut files of traces into documents, one in memory at a time.

In        files, folders, standard input; as they are, or compressed with gzip (zstd from Python 3.14 on)
Out       Document: the bytes of one JSON value or one protobuf message, and where it stands
Not here  what is in them (otlp_json.py, otlp_protobuf.py, jaeger.py)

JSON is one value a line, or one value in all. Protobuf is one message, or messages with four bytes of length each (big
endian), as the collector's file exporter writes them with `format: proto`.
"""

from __future__ import annotations

import gzip
import importlib
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from rung.adapters.foreign.span import Account, Misread
from rung.errors import BadFile
from rung.units import show_bytes

STANDARD_INPUT = "-"
DOCUMENT_BYTES_MAX = 256 * 1024**2
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LENGTH_BYTES = 4
_PEEKED = 4096


@dataclass(frozen=True, slots=True)
class Document:
    """
    One JSON value, or one protobuf message (*binary*); *place* says where: the file, and the line or message.
    """

    place: str
    data: bytes
    binary: bool


def files_of(asked: Sequence[str]) -> list[Path]:
    """
    Return the files that *asked* means; those of a folder by name, hidden ones left out.

    Raises:
        BadFile: there is none.
    """
    found: list[Path] = []
    for each in asked:
        path = Path(each)
        if each == STANDARD_INPUT:
            found.append(path)
        elif path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
            if not inside:
                raise BadFile(each, "the folder holds no file", see="rung find --help")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise BadFile(each, "there is no such file", see="rung find --help")
    return found


def documents(path: Path, account: Account) -> Iterator[Document]:
    """
    Yield the documents of the file at *path*; where it cannot be read on, that is noted and the rest let go.

    Raises:
        BadFile: it cannot be opened.
    """
    try:
        stream = sys.stdin.buffer if str(path) == STANDARD_INPUT else path.open("rb")
    except OSError as problem:
        raise BadFile(str(path), str(problem.strerror), see="rung find --help") from None
    name = "standard input" if str(path) == STANDARD_INPUT else path.name
    with stream:
        try:
            yield from _cut(_unpacked(cast("IO[bytes]", stream)), name)
        except Misread as problem:
            account.unread(name, problem)
        except (EOFError, zlib.error, OSError) as problem:
            account.unread(name, f"it ends early, or is damaged ({type(problem).__name__})")


def _unpacked(stream: IO[bytes]) -> io.BufferedReader:
    plain = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    head = plain.peek(_LENGTH_BYTES)[:_LENGTH_BYTES]
    if head.startswith(GZIP):
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=plain)))
    if head.startswith(ZSTD):
        try:
            zstd: Any = importlib.import_module("compression.zstd")
        except ImportError:
            raise Misread(
                "it is compressed with zstd, which Python reads from 3.14 on; unpack it with zstd -d"
            ) from None
        return io.BufferedReader(zstd.ZstdFile(plain))
    return plain


def _cut(stream: io.BufferedReader, name: str) -> Iterator[Document]:
    head = stream.peek(_PEEKED)
    start = head.removeprefix(BYTE_ORDER_MARK).lstrip()[:1]
    if start in (b"{", b"[") or not start:
        yield from _texts(stream, name)
    elif head[:1] == b"\0":
        yield from _framed(stream, name)
    else:
        data = stream.read(DOCUMENT_BYTES_MAX + 1)
        _refuse_large(data)
        yield Document(name, data, binary=True)


def _texts(stream: io.BufferedReader, name: str) -> Iterator[Document]:
    """
    Yield a document a line; one in all where the first line is not whole and the second does not begin one.
    """
    number = 1
    line = _line(stream).removeprefix(BYTE_ORDER_MARK)
    while line and not line.strip():
        number, line = number + 1, _line(stream)
    following = _line(stream)
    if line.strip() and not line.rstrip().endswith((b"}", b"]")) and not following.startswith(b'{"'):
        whole = line + following + stream.read(DOCUMENT_BYTES_MAX + 1)
        _refuse_large(whole)
        yield Document(name, whole, binary=False)
        return
    while line:
        if line.strip():
            yield Document(f"{name}:{number}", line, binary=False)
        number, line = number + 1, following
        following = _line(stream) if line else b""


def _line(stream: io.BufferedReader) -> bytes:
    line = stream.readline(DOCUMENT_BYTES_MAX + 1)
    _refuse_large(line)
    return line


def _framed(stream: io.BufferedReader, name: str) -> Iterator[Document]:
    number = 0
    while head := stream.read(_LENGTH_BYTES):
        number += 1
        length_bytes = int.from_bytes(head, "big")
        if len(head) < _LENGTH_BYTES or not 0 <= length_bytes <= DOCUMENT_BYTES_MAX:
            raise Misread(f"message {number} has no length that can be")
        data = stream.read(length_bytes)
        if len(data) < length_bytes:
            raise Misread(f"message {number} is cut short")
        yield Document(f"{name}, message {number}", data, binary=True)


def _refuse_large(data: bytes) -> None:
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Misread(f"one document of more than {show_bytes(DOCUMENT_BYTES_MAX)}; write one a line (jq -c)")

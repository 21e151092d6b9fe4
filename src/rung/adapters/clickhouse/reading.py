"""
Read a recording's rows by ClickHouse, which fetches the objects itself.

In        a recording's folder, an Engine, SQL from a step
Out       columns as numpy arrays, as DuckDB gives them
Not here  the SQL's words (dialect.py), which objects count (adapters/fleet/span.py)
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from rung.adapters.clickhouse.dialect import TYPES, literal, translated
from rung.adapters.clickhouse.engine import Engine
from rung.adapters.clickhouse.native import columns_of
from rung.adapters.recordings import PROCESSES, facts_of, files_of, tables_of
from rung.adapters.shelf import is_fleet, manifest_of
from rung.errors import EngineRefused, UsageError
from rung.ports import Column, Manifest, RecordingFacts, Rows
from rung.steps.record import TABLES

PATTERNS = frozenset("*?{}")


class ClickHouseRecording:
    """
    One recording, read by ClickHouse.  Fulfils the port Recordings.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path, self._engine = path, engine
        self._manifest = manifest_of(path)

    def rows(self, question: Rows) -> Mapping[str, Column]:
        """
        Return the asked rows.
        """
        tables = {table: self._selected(table) for table in tables_of(question.sql)}
        answer = self._engine.answer(translated(question.sql, tables))
        try:
            return columns_of(answer)
        except ValueError as problem:
            raise EngineRefused(self._engine.address, f"its answer cannot be read: {problem}") from None

    def manifest(self, question: Manifest) -> RecordingFacts:
        """
        Return what the recording says of itself.
        """
        return facts_of(self.path, self._manifest, self.rows(Rows(PROCESSES)))

    def _selected(self, table: str) -> str:
        """
        Return what selects every row of *table* that counts.
        """
        names = ", ".join(f"`{name}`" for name, _ in TABLES[table])
        every, app = self._sources(table)
        # Our own names, and places that were quoted where they were put together.
        selected = [f"select {names} from {source}" for source in every]  # noqa: S608
        selected += [f"select {names} from {source} where role = 'app'" for source in app]  # noqa: S608
        if selected:
            return "\nunion all\n".join(selected)
        empty = ", ".join(f"cast(null as {TYPES[kind]}) as `{name}`" for name, kind in TABLES[table])
        return f"select {empty} where 1 = 0"

    def _sources(self, table: str) -> tuple[list[str], list[str]]:
        if not is_fleet(self._manifest):
            return self._files(table, [str(file.resolve()) for file in files_of(self.path, table)]), []
        fleet = self._manifest["fleet"]
        chosen = fleet["tables"].get(table, {})
        every, app = ([str(one[0]) for one in chosen.get(which, ())] for which in ("all", "app"))
        prefix = str(fleet["prefix"])
        return self._objects(table, prefix, every), self._objects(table, prefix, app)

    def _objects(self, table: str, prefix: str, keys: Sequence[str]) -> list[str]:
        scheme, _, place = prefix.partition("://")
        if scheme == "file":
            return self._files(table, [f"{urllib.parse.unquote(place)}/{key}" for key in keys])
        if not keys:
            return []
        bucket, _, below = place.partition("/")
        url = f"{_endpoint(scheme, bucket)}/{below}/" if below else f"{_endpoint(scheme, bucket)}/"
        where = url + _braced(keys)
        _refuse_patterns(url)
        collection, structure = self._engine.collection, _structure(table)
        if collection is not None:
            return [f"s3({collection}, url = {literal(where)}, format = 'Parquet', structure = {structure})"]
        return [f"s3({literal(where)}, 'Parquet', {structure})"]

    def _files(self, table: str, paths: Sequence[str]) -> list[str]:
        if not self._engine.embedded:
            raise UsageError(
                f"{self._engine.address} cannot read this machine's files",
                why="A ClickHouse server reads recordings from an object store.",
                steps=(("Send it there", "rung push"), ("Or read it by DuckDB", "rung find")),
            )
        for path in paths:
            _refuse_patterns(path)
        return [f"file({literal(_braced(paths))}, 'Parquet', {_structure(table)})"] if paths else []


def _structure(table: str) -> str:
    return literal(", ".join(f"`{name}` {TYPES[kind]}" for name, kind in TABLES[table]))


def _braced(keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return keys[0]
    shared = os.path.commonprefix(list(keys)).rpartition("/")[0]  # noqa: RUF071 - cut at a slash
    rest = [key[len(shared) :] for key in keys]
    return f"{shared}{{{','.join(rest)}}}"


def _refuse_patterns(place: str) -> None:
    if PATTERNS & set(place):
        raise UsageError(
            f"{place} has a character that ClickHouse takes for a pattern",
            why="It would read other objects as well, or none.",
            steps=(("Read it by DuckDB", "rung find"),),
        )


def _endpoint(scheme: str, bucket: str) -> str:
    own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if scheme == "gs":
        return f"https://storage.googleapis.com/{bucket}"
    if scheme != "s3":
        raise UsageError(
            f"ClickHouse is not asked for {scheme}:// by rung",
            why="It reads s3://, gs:// and, inside this process, files.",
            steps=(("Read it by DuckDB", "rung find"),),
        )
    if own:
        return f"{own.rstrip('/')}/{bucket}"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return f"https://{bucket}.s3.{region}.amazonaws.com"

"""
One connection to the user's database that only looks, kept from question to question.

In        a DSN; what is to be asked of the connection
Out       answers; an error as a connection of one question would give it
Not here  what is asked (database.py), how a connection that only looks is made (postgres.py)

Between questions it is idle and in no transaction.  A server that ended it meanwhile (a restart, an
idle_session_timeout) is asked again on a new one: a look can be repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import psycopg

from rung.adapters.postgres import LOOK_SETTINGS, connected, mapped_errors

Answer = TypeVar("Answer")
Connection = psycopg.Connection[Any]


class KeptLook:
    """
    A connection that is made at the first question and ends with close(); questions of several threads take turns.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._turn = threading.Lock()
        self._open = ExitStack()
        self._connection: Connection | None = None

    def close(self) -> None:
        """
        End the connection; the next question makes one again.
        """
        with self._turn:
            self._end()

    def ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """
        Return what *question* answers; its transaction is rolled back.

        Raises:
            DatabaseRefused: the server cannot be reached, or does not let us in.
            DatabaseDenied: the role may not look at what was asked.
        """
        with self._turn, mapped_errors(self.dsn):
            kept = self._connection is not None
            try:
                return self._asked(question)
            except psycopg.Error:
                if not kept or self._connection is not None:
                    raise
            return self._asked(question)

    def _asked(self, question: Callable[[Connection], Answer]) -> Answer:
        if self._connection is None:
            self._connection = self._open.enter_context(connected(self.dsn, options=LOOK_SETTINGS))
            # A pooler between may hand the next question to another session.
            self._connection.prepare_threshold = None
        connection = self._connection
        try:
            answer = question(connection)
            connection.rollback()
        except BaseException:
            # After an error it may be anywhere, or gone.
            self._settle(connection)
            raise
        return answer

    def _settle(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except psycopg.Error:
            self._end()
        if connection.closed:
            self._end()

    def _end(self) -> None:
        self._connection = None
        self._open.close()

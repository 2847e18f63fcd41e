"""A connection that the event loop itself listens to: its answers pass through no task, cursor or pool."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import ReadOnlySqlTransaction, error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import DictRow

from services.common.postgres.connection import PrimaryConnection

SILENT_SECONDS_MAX = 3.0
"""So long a statement may go without an answer. A server that hangs keeps its connections, and says nothing."""
_SAY_WHETHER_IT_WRITES = (b"in_hot_standby", b"default_transaction_read_only")
"""Settings of the server whose changes it reports by itself."""


class Line:
    """Runs one prepared statement at a time on a connection that is its own from now on.

    Calls `answered` with the rows of each, or `broken` once with what went wrong: the connection is lost, a statement
    failed, or the server says nothing or takes no writes any more. Afterwards, and at the end, its owner closes it.
    """

    def __init__(
        self,
        connection: PrimaryConnection,
        *,
        answered: Callable[[list[DictRow]], None],
        broken: Callable[[psycopg.Error], None],
    ) -> None:
        self._server = connection.pgconn
        self._answered = answered
        self._broken = broken
        self._values = Transformer.from_context(connection)
        self._statement = b""
        self._columns: dict[bytes, tuple[str, ...]] = {}
        self._results: list[PGresult] = []
        self._said_at_first = self._said()
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        # libpq closes its descriptor as soon as it finds the connection lost, and another file may get the number.
        self._descriptor = os.dup(self._server.socket)
        self._loop.add_reader(self._descriptor, self._read)

    def ask(self, statement: bytes, value: Any) -> None:
        """Runs a prepared statement, which has one parameter, while none is under way. Raises psycopg.Error."""
        values = self._values.dump_sequence((value,), (PyFormat.AUTO,))
        self._server.send_query_prepared(statement, values, self._values.formats)
        self._statement = statement
        self._deadline = self._loop.call_later(SILENT_SECONDS_MAX, self._give_up)
        if self._server.flush():
            self._loop.add_writer(self._descriptor, self._write)

    def close(self) -> None:
        """Leaves the connection, whatever is under way."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
        self._server.finish()

    def _write(self) -> None:
        try:
            if not self._server.flush():
                self._loop.remove_writer(self._descriptor)
        except psycopg.Error as error:
            self._broken(error)

    def _read(self) -> None:
        try:
            rows = self._received()
        except psycopg.Error as error:
            self._broken(error)
        else:
            if rows is not None:
                self._answered(rows)

    def _received(self) -> list[DictRow] | None:
        """Returns the answer as soon as all of it has come. Raises psycopg.Error."""
        self._server.consume_input()
        while not self._server.is_busy():
            result = self._server.get_result()
            if result is not None:
                self._results.append(result)
                continue
            if self._said() != self._said_at_first:
                raise ReadOnlySqlTransaction("the server takes no writes any more")
            return self._rows() if self._results else None
        return None

    def _rows(self) -> list[DictRow]:
        assert self._deadline is not None
        self._deadline.cancel()
        [result, *_], self._results = self._results, []
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result)
        columns = self._columns.get(self._statement)
        if columns is None:
            columns = tuple((result.fname(number) or b"").decode() for number in range(result.nfields))
            self._columns[self._statement] = columns
        self._values.set_pgresult(result)
        return self._values.load_rows(
            0, result.ntuples, lambda values: dict(zip(columns, values, strict=True))
        )

    def _said(self) -> tuple[bytes | None, ...]:
        return tuple(map(self._server.parameter_status, _SAY_WHETHER_IT_WRITES))

    def _give_up(self) -> None:
        self._broken(psycopg.OperationalError(f"no answer for {SILENT_SECONDS_MAX:g} seconds"))

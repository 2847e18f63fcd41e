"""Connections to the server that takes writes, and only to that one, wherever it has moved to."""

from types import TracebackType
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction, TransactionTimeout
from psycopg.rows import DictRow
from typing_extensions import override

CONNECT_TIMEOUT_SECONDS = 3
"""For each host of an address."""
TCP_USER_TIMEOUT_MS = 5_000
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_EACH_SECONDS, KEEPALIVES_MAX = 2, 1, 3
"""A node that vanished sends nothing, not even that it is gone: whoever only listens learns it in 5 seconds too."""

_PARAMETERS = {
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
    "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
    "keepalives_interval": KEEPALIVE_EACH_SECONDS,
    "keepalives_count": KEEPALIVES_MAX,
    "target_session_attrs": "read-write",
}

DATABASE_OUTAGES: tuple[type[psycopg.Error], ...] = (
    psycopg.OperationalError,
    ReadOnlySqlTransaction,
    IdleInTransactionSessionTimeout,
    TransactionTimeout,
)
"""What fails because of the database and not because of the statement. All but the first are InternalErrors to psycopg."""
_OUTAGES = ("08", "25", "40001", "53", "57", "58")
"""Beginnings of SQLSTATE: no connection, a transaction that was ended or may only read, a conflict with recovery, no
resources, ended by an operator or a timeout, an error of the system."""


def is_outage(error: Exception) -> bool:
    """Returns whether the database itself failed, rather than the statement. Repeating it at once will not help."""
    if not isinstance(error, DATABASE_OUTAGES):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_OUTAGES)


def connection_parameters(url: str) -> dict[str, Any]:
    """Returns how to connect to `url`, beside what it says itself: with patience for seconds, to a server that takes writes.

    Several hosts in an address are tried in their order. Names are resolved again for each connection.
    """
    given = conninfo_to_dict(url)
    return {name: value for name, value in _PARAMETERS.items() if name not in given}


class PrimaryConnection(AsyncConnection[DictRow]):
    """Closes itself when its server turns out to take no writes any more, so that a pool throws it away."""

    @override
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if isinstance(exc_val, ReadOnlySqlTransaction):
            await self.close()
        else:
            await super().__aexit__(exc_type, exc_val, exc_tb)

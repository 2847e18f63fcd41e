import asyncio
from collections import defaultdict

from services.common.egress.connection import Connection

KEPT_SECONDS = 1.0
"""Usual servers close an unused connection after 2 s or more. A request that crosses that end has failed, so it is
better to be first."""

Place = tuple[str, str, int]
"""Scheme, host and port."""


class KeptConnections:
    """Connections without a request, each kept for a moment, for the next request to the same origin."""

    def __init__(self, *, connections_max: int) -> None:
        self._room = connections_max
        self._kept: defaultdict[Place, dict[Connection, asyncio.TimerHandle]] = defaultdict(dict)

    def put(self, place: Place, connection: Connection) -> None:
        """Keeps a connection, or closes it if there is no room."""
        if not self._room:
            connection.abort()
            return
        self._room -= 1
        loop = asyncio.get_running_loop()
        self._kept[place][connection] = loop.call_later(KEPT_SECONDS, self._drop, place, connection)

    def take(self, place: Place) -> Connection | None:
        """Returns the connection that was kept last, if any is still open."""
        while place in self._kept:
            connection = next(reversed(self._kept[place]))
            self._remove(place, connection)
            if connection.is_quiet:
                return connection
            connection.abort()
        return None

    async def close(self) -> None:
        """Closes them all."""
        for place, connections in list(self._kept.items()):
            for connection in list(connections):
                self._drop(place, connection)
        await asyncio.sleep(0)

    def _drop(self, place: Place, connection: Connection) -> None:
        self._remove(place, connection)
        connection.abort()

    def _remove(self, place: Place, connection: Connection) -> None:
        connections = self._kept[place]
        connections.pop(connection).cancel()
        self._room += 1
        if not connections:
            del self._kept[place]

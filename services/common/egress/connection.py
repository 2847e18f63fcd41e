import asyncio
import select
from typing import Any

from typing_extensions import override

BUFFERED_BYTES_MAX = 64 * 1024


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time; `received` holds bytes that came and were not yet read."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.has_received = False
        """Whether anything came since the last request."""
        self._transport: Any = None
        self._news = asyncio.Event()
        self._is_over = False
        self._fault: Exception | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self.received += data
        self.has_received = True
        if len(self.received) >= BUFFERED_BYTES_MAX:
            self._transport.pause_reading()
        self._news.set()

    @override
    def eof_received(self) -> None:
        self._is_over = True
        self._news.set()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self._is_over = True
        self._fault = error
        self._news.set()

    @property
    def is_quiet(self) -> bool:
        """Whether it is open and the server has sent nothing unasked so far."""
        if self._is_over or self.received or self._transport.is_closing():
            return False
        # The connection may have ended although the event loop has not reported it yet.
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    def send(self, request: bytes) -> None:
        """Sends a request, of which what comes next is the answer."""
        self.has_received = False
        # A closed one takes nothing, and says so in `more`.
        if not self._transport.is_closing():
            self._transport.write(request)

    async def more(self) -> bool:
        """Waits until more was received. False at the end. Raises what else ended it than the other side: OSError."""
        size = len(self.received)
        self._transport.resume_reading()
        while len(self.received) == size:
            if self._fault is not None and not isinstance(self._fault, ConnectionError):
                raise self._fault
            if self._is_over:
                return False
            self._news.clear()
            await self._news.wait()
        return True

    def abort(self) -> None:
        """Ends it at once."""
        self._transport.abort()

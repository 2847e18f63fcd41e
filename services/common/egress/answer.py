import asyncio
import re

from services.common.egress.connection import Connection

HEAD_BYTES_MAX = 64 * 1024
"""For the status line and all headers, those of interim answers included; what comes after is not read."""
REST_SECONDS = 5.0
"""For everything after the status line."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({_SWITCHING_PROTOCOLS, 204, 304})


class AnswerError(Exception):
    """No answer, or an answer that did not end properly."""


class NoHttpError(AnswerError):
    """What came is not HTTP/1."""


class UnansweredError(AnswerError):
    """The connection was closed before anything came."""


class CutShortError(AnswerError):
    """The connection was closed in the middle of the answer."""


class TooLongError(AnswerError):
    """The answer is longer than we are willing to read."""


class AnswerReader:
    """Reads an HTTP/1 answer to a POST.

    Once the status line has arrived, `status` stays, whatever happens to the rest.
    """

    def __init__(self, *, excerpt_bytes_max: int, body_bytes_max: int) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        """By name in lower case. One that was sent more than once holds all values, divided by commas."""
        self.excerpt = bytearray()
        self.is_clean = False
        """Whether the answer ended where it said, so that its connection may be used again."""
        self._excerpt_bytes_max = excerpt_bytes_max
        self._body_room = body_bytes_max
        self._head_room = HEAD_BYTES_MAX

    async def read(self, connection: Connection) -> None:
        """Reads all that is wanted. Raises AnswerError, TimeoutError or OSError."""
        self._connection = connection
        minor = await self._read_status()
        async with asyncio.timeout(REST_SECONDS):
            await self._read_headers()
            is_framed = await self._read_body()
        is_last = minor == b"0" or "close" in self.headers.get("connection", "").lower()
        self.is_clean = is_framed and not is_last and not connection.received

    async def _read_status(self) -> bytes:
        while True:
            line = b""
            while not line:
                line = await self._line()
            found = _STATUS_LINE.fullmatch(line)
            if found is None:
                raise NoHttpError
            status = int(found[2])
            if status >= 200 or status == _SWITCHING_PROTOCOLS:
                self.status = status
                return found[1]
            while await self._line():  # of an interim answer
                pass

    async def _read_headers(self) -> None:
        while line := await self._line():
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.lower(), value.strip()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    async def _read_body(self) -> bool:
        """Returns whether it was clear where the body ends."""
        coding = self.headers.get("transfer-encoding")
        lengths = {length.strip() for length in self.headers.get("content-length", "").split(",")}
        length = lengths.pop() if len(lengths) == 1 else None
        if self.status in _BODILESS:
            return self.status != _SWITCHING_PROTOCOLS
        if coding is not None:
            if coding.lower() == "chunked":
                await self._read_chunks()
                return not length
        elif length is not None and re.fullmatch("[0-9]{1,15}", length):
            await self._take(int(length))
            return True
        while self._connection.received or await self._connection.more():
            await self._take(len(self._connection.received))
        return False

    async def _read_chunks(self) -> None:
        while True:
            size = _SIZE.fullmatch((await self._line()).partition(b";")[0].strip())
            if size is None:
                raise NoHttpError
            byte_count = int(size[0], 16)
            await self._take(byte_count)
            if not byte_count:
                break
            if await self._line():
                raise NoHttpError
        while await self._line():  # trailers
            pass

    async def _take(self, byte_count: int) -> None:
        received = self._connection.received
        while byte_count:
            if not received:
                await self._more()
            piece = bytes(received[:byte_count])
            del received[: len(piece)]
            byte_count -= len(piece)
            self.excerpt += piece[: self._excerpt_bytes_max - len(self.excerpt)]
            self._body_room -= len(piece)
            if self._body_room < 0:
                raise TooLongError

    async def _line(self) -> bytes:
        received = self._connection.received
        searched = 0
        while (end := received.find(b"\n", searched)) < 0:
            searched = len(received)
            if searched > self._head_room:
                raise TooLongError
            await self._more()
        line = bytes(received[:end]).removesuffix(b"\r")
        del received[: end + 1]
        self._head_room -= end + 1
        if self._head_room < 0:
            raise TooLongError
        return line

    async def _more(self) -> None:
        if not await self._connection.more():
            raise CutShortError if self._connection.has_received else UnansweredError

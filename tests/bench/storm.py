"""An open load: each request is sent when it is due, whether those before were answered or not, as a crowd sends them."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TICK_SECONDS = 0.002
CONNECTIONS_MAX = 1_000
PATIENCE_SECONDS = 30.0
"""How long is waited for the last answers. What is not answered then has status 0."""


@dataclass
class Due:
    """A request, and whose it is."""

    who: str
    content: bytes
    at: float = 0.0
    """When it is due: seconds of the clock."""
    sent_at: float = 0.0


@dataclass(frozen=True)
class Answered:
    """What became of a request."""

    who: str
    due_at: float
    late_seconds: float
    """How much later than due it was sent: nobody connects or writes in no time, and the load may have no core."""
    seconds: float
    """From when it was sent to the end of its answer."""
    status: int
    retry_after: bool
    body: bytes = field(repr=False)


_SILENCE = Answered(
    who="", due_at=0.0, late_seconds=0.0, seconds=PATIENCE_SECONDS, status=0, retry_after=False, body=b""
)


def storm_apart(host: str, sent: Sequence[Due], per_second: float, seconds: float) -> list[Answered]:
    """Sends these in turn. Runs in a process of its own, so that it keeps nobody who is measured beside it waiting."""
    return asyncio.run(
        Storm(host).run(itertools.cycle(sent).__next__, per_second=per_second, seconds=seconds)
    )


class Storm:
    """Sends to one address, over as many connections as it takes."""

    def __init__(self, host: str) -> None:
        self._name, _, port = host.rpartition(":")
        self._port = int(port)
        self._idle: list[_Connection] = []
        self._unsent: deque[Due] = deque()
        self._connections = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._answers: list[Answered] = []
        self._due: list[Due] = []

    async def run(self, next_due: Callable[[], Due], *, per_second: float, seconds: float) -> list[Answered]:
        """Sends at this rate for a while, or as fast as it can, and returns what became of what was sent, in no order."""
        started = time.perf_counter()
        total = round(per_second * seconds)
        while len(self._due) < total:
            until = min(total, int((time.perf_counter() - started) * per_second) + 1)
            for number in range(len(self._due), until):
                wanted = next_due()
                due = Due(wanted.who, wanted.content, started + number / per_second)
                self._due.append(due)
                self._send(due)
            await asyncio.sleep(TICK_SECONDS)
        # What the load could not send in time is no fault of those who would have answered.
        total -= len(self._unsent)
        self._unsent.clear()
        given_up_at = time.perf_counter() + PATIENCE_SECONDS
        while len(self._answers) < total and time.perf_counter() < given_up_at:  # noqa: ASYNC110  a deadline
            await asyncio.sleep(TICK_SECONDS)
        for connection in self._idle:
            connection.close()
        return [*self._answers, *(_SILENCE for _ in range(total - len(self._answers)))]

    def _send(self, due: Due) -> None:
        if self._idle:
            self._idle.pop().send(due)
            return
        self._unsent.append(due)
        if self._connections < CONNECTIONS_MAX:
            self._connections += 1
            task = asyncio.create_task(self._connect())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Connection(self), self._name, self._port)

    def ready(self, connection: "_Connection") -> None:
        """Gives a connection something to send."""
        if self._unsent:
            connection.send(self._unsent.popleft())
        else:
            self._idle.append(connection)

    def answered(self, due: Due, status: int, head: bytes, body: bytes) -> None:
        """Notes an answer."""
        self._answers.append(
            Answered(
                who=due.who,
                due_at=due.at,
                late_seconds=due.sent_at - due.at,
                seconds=time.perf_counter() - due.sent_at,
                status=status,
                retry_after=b"\r\nretry-after:" in head,
                body=body if status == 200 else b"",
            )
        )

    def lost(self, connection: "_Connection", due: Due | None) -> None:
        """Notes the end of a connection, and of the request that it did not answer."""
        self._connections -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if due is not None:
            self.answered(due, 0, b"", b"")


class _Connection(asyncio.Protocol):
    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._received = bytearray()
        self._due: Due | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._storm.ready(self)

    def send(self, due: Due) -> None:
        self._due = due
        due.sent_at = time.perf_counter()
        self._transport.write(due.content)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._received[:head_end]).lower()
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) < head_end + 4 + length:
            return
        due, self._due = self._due, None
        if due is not None:
            self._storm.answered(due, int(head[9:12]), head, bytes(self._received[head_end + 4 :]))
        self._received.clear()
        if b"\r\nconnection: close" in head:
            self._transport.close()
        else:
            self._storm.ready(self)

    def connection_lost(self, exc: Exception | None) -> None:
        due, self._due = self._due, None
        self._storm.lost(self, due)


def percentile(answers: Sequence[Answered], share: float) -> float:
    """Returns the seconds that this share of the answers took at most; 0 where there are none."""
    found = sorted(each.seconds for each in answers)
    return found[int(share * (len(found) - 1))] if found else 0.0

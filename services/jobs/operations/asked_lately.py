"""What providers were asked lately on behalf of customers, so that repeating a request does not ask again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.common.errors import ServiceError


@dataclass
class _Asked:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    refusal: ServiceError | None = None
    until: float = 0.0
    """So long the refusal is given again."""


class AskedLately:
    """Asks about each job once at a time, and about one that was refused not again for `seconds`."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._asked: dict[str, _Asked] = {}

    @asynccontextmanager
    async def asking(self, job_id: str) -> AsyncIterator[None]:
        """Lets the block ask about a job and remembers what it refuses with. Raises what was refused a moment ago."""
        now = asyncio.get_running_loop().time
        self._asked = {name: asked for name, asked in self._asked.items() if self._matters(asked, now())}
        asked = self._asked.setdefault(job_id, _Asked())
        async with asked.turn:
            if asked.refusal is not None and now() < asked.until:
                raise _again(asked.refusal)
            try:
                yield
            except ServiceError as error:
                asked.refusal, asked.until = _again(error), now() + self._seconds
                raise

    def _matters(self, asked: _Asked, now: float) -> bool:
        return asked.turn.locked() or now < asked.until


def _again(error: ServiceError) -> ServiceError:
    """Returns another of the same: an error that is raised collects where it has been."""
    return ServiceError(error.reason, error.message, **error.metadata)

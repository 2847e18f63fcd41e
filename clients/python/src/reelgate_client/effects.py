"""What a client does, as plans: generators that yield effects and are sent what became of each.

A plan does no I/O, so one plan serves both drivers, the one that blocks and the one for asyncio.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One HTTP request, with everything that is sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] | None = None
    body: bytes | Path | None = None
    """A path is sent as the file it names."""
    timeout: float = 30
    """Seconds of silence that end the request."""
    follow_redirects: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers have no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """Returns the parsed body. None: it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Send:
    """Send a request and read the answer. Raises ConnectionFailedError if there is none."""

    request: Request


@dataclass(frozen=True)
class Open(Send):
    """Send a request and leave the body of a success to Read. What was open before is closed."""


@dataclass(frozen=True)
class Read:
    """Read the next bytes of what is open; b"" is the end. Raises ConnectionFailedError."""


@dataclass(frozen=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """Call a function of the customer's, and wait if it returns an awaitable."""

    function: Callable[[Any], Any]
    argument: Any


@dataclass(frozen=True)
class Emit(Generic[T]):
    """Hand a value to whoever iterates."""

    value: T


Effect: TypeAlias = Send | Open | Read | Sleep | Call
Plan: TypeAlias = Generator[Effect, Any, T]
"""What returns a T."""
Emitting: TypeAlias = Generator[Effect | Emit[T], Any, None]
"""What emits any number of T."""

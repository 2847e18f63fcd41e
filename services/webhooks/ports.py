"""What webhooks needs from the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.webhooks.domain import Answer, Delivery, Event, Judgement, NoAnswer


class Events(Protocol):
    """Events as they come in."""

    async def accept(self, events: Sequence[Event]) -> int:
        """Stores events with their deliveries, in one commit. Returns how many were new; the others stay as they are."""


class SigningSecrets(Protocol):
    """The secrets that sign, encrypted wherever they rest."""

    async def ensure(self, account_id: str, *, candidate: str) -> str:
        """Returns the secret of an account, which is the candidate if it had none."""

    def reveal(self, sealed: bytes) -> str:
        """Returns a secret that was stored."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What recording a batch of judgements did."""

    stale: Sequence[Judgement]
    """Those that changed nothing, because somebody else has or had the delivery since."""
    due_count: int
    """How many next events of the same jobs became due."""


class Deliveries(Protocol):
    """What is to be delivered: for each target and job one event at a time, in order."""

    async def claim(self, *, deliveries_max: int) -> list[Delivery]:
        """Leases the deliveries that are longest due and that nobody has."""

    async def record(self, judgements: Sequence[Judgement]) -> Recorded:
        """Ends leases with what came of them, in one commit."""

    async def reopen_abandoned(self) -> int:
        """Makes due at once what a dispatcher had leased that is gone. Returns how many there were."""

    async def leave(self) -> None:
        """Tells the others that nobody works on what is still leased here."""


class Receivers(Protocol):
    """The customers' servers."""

    async def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer | NoAnswer:
        """Sends one request and waits for the answer, for a bounded time."""

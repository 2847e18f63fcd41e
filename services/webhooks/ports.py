"""What webhooks needs from the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.common.audit.note import AuditNote
from services.webhooks.domain import (
    Answer,
    Claimed,
    DeliveryFilter,
    DeliveryKey,
    DisabledEndpoint,
    Endpoint,
    EndpointChange,
    Event,
    Judgement,
    ListedDelivery,
    NoAnswer,
    Owner,
    PastAttempt,
    Redelivery,
    Resealed,
    Rooms,
    Signing,
)


class Events(Protocol):
    """Events as they come in."""

    async def accept(self, events: Sequence[Event]) -> int:
        """Stores events with their deliveries, in one commit. Returns how many were new.

        Those that are stored already stay as they are; those that nobody listens to are not stored.
        """


class SigningSecrets(Protocol):
    """The secrets that sign for accounts, one for each environment, encrypted wherever they rest."""

    async def ensure(self, account_id: str, *, environment: str, candidate: str) -> bool:
        """Makes the candidate the secret of an account, unless it has one. Returns whether it did."""

    async def get(self, account_id: str, *, environment: str) -> Signing | None:
        """Returns how it is signed."""

    async def rotate(
        self, account_id: str, *, environment: str, secret: str, note: AuditNote
    ) -> Signing | None:
        """Adds a secret to be confirmed, in place of any other unconfirmed one."""

    async def confirm(self, account_id: str, *, environment: str, note: AuditNote) -> Signing | None:
        """Puts the unconfirmed secret in charge. Returns None without one, unless that was done already."""

    async def switch(
        self, account_id: str, *, environment: str, is_signing: bool, note: AuditNote
    ) -> Signing | None:
        """Says whether callbacks are signed, where the contract leaves that open."""

    def reveal(self, sealed: bytes) -> str:
        """Returns a secret that was stored."""


class SealedRows(Protocol):
    """Everything that rests encrypted, for longer than a day."""

    async def reseal(self, *, after: str, rows_max: int, note: AuditNote) -> Resealed:
        """Encrypts a batch with the newest key, where it is not yet. What changes meanwhile is left: it is new."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What recording a batch of judgements did."""

    stale: Sequence[Judgement]
    """Those that changed nothing: somebody else has or had the delivery since, or they cannot be recorded, which is
    logged. What was delivered is then delivered again when its lease ends."""
    due_count: int
    """How many next events of the same jobs became due."""
    disabled_count: int
    """How many of them ended up at an endpoint that was disabled for it."""


class Deliveries(Protocol):
    """What is to be delivered: for each target and job one event at a time, in order."""

    async def claim(self, *, deliveries_max: int, rooms: Rooms) -> Claimed:
        """Leases deliveries that are due and that nobody has, where there is room for them: accounts take turns."""

    async def record(self, judgements: Sequence[Judgement]) -> Recorded:
        """Ends leases with what came of them, in one commit."""

    async def reopen_abandoned(self) -> int:
        """Makes due at once what a dispatcher had leased that is gone. Returns how many there were."""

    async def leave(self) -> None:
        """Tells the others that nobody works on what is still leased here."""


class DisabledEndpoints(Protocol):
    """The endpoints that get nothing any more."""

    async def unannounced(self, *, endpoints_max: int) -> list[DisabledEndpoint]:
        """Returns those whose disabling the account has not been told."""

    async def announce(self, event: Event, *, endpoint_id: str) -> None:
        """Stores the event that tells of an endpoint, unless that is done, in one commit."""

    async def give_up_waiting(self, *, heads_max: int) -> int:
        """Dead-letters what still waits for one. Returns for how many jobs; 0 when nothing is left."""


class Receivers(Protocol):
    """The customers' servers."""

    async def post(self, url: str, *, headers: dict[str, str], body: bytes) -> Answer | NoAnswer:
        """Sends one request and waits for the answer, for a bounded time."""


class Endpoints(Protocol):
    """Endpoints as their owners manage them. Secrets are encrypted wherever they rest."""

    async def add(
        self, endpoint_id: str, *, owner: Owner, wanted: EndpointChange, secret: str
    ) -> tuple[Endpoint, str] | None:
        """Registers an endpoint, unless there is one with its id, and returns it with its secret.

        Returns None when the owner has ENDPOINTS_MAX others already.
        """

    async def all_of(self, owner: Owner) -> list[Endpoint]:
        """Returns the owner's endpoints, oldest first."""

    async def get(self, endpoint_id: str, *, owner: Owner) -> Endpoint | None:
        """Returns the owner's endpoint."""

    async def change(self, endpoint_id: str, *, owner: Owner, change: EndpointChange) -> Endpoint | None:
        """Changes an endpoint. Enabling it makes it healthy."""

    async def delete(self, endpoint_id: str, *, owner: Owner) -> bool:
        """Forgets an endpoint. Tells whether there was one."""

    async def rotate(self, endpoint_id: str, *, owner: Owner, secret: str) -> Endpoint | None:
        """Adds a secret to be confirmed, in place of any other unconfirmed one."""

    async def confirm(self, endpoint_id: str, *, owner: Owner) -> Endpoint | None:
        """Puts the unconfirmed secret in charge. Returns None without one, unless that was done already."""


class History(Protocol):
    """Deliveries as their owners see and repeat them."""

    async def page(
        self, *, owner: Owner, wanted: DeliveryFilter, after: DeliveryKey | None, limit: int
    ) -> list[ListedDelivery]:
        """Returns the newest deliveries that fit, those older than `after` only."""

    async def get(self, key: DeliveryKey, *, owner: Owner) -> ListedDelivery | None:
        """Returns the owner's delivery."""

    async def attempts(self, key: DeliveryKey, *, attempts_max: int) -> list[PastAttempt]:
        """Returns the latest attempts at a delivery, oldest first."""

    async def reopen(self, key: DeliveryKey, *, owner: Owner) -> bool:
        """Makes an ended delivery due with a new schedule. Tells whether it had ended and its endpoint is enabled."""

    async def send_test(self, event: Event, *, endpoint_id: str) -> None:
        """Stores an event for one endpoint alone and makes it due."""


class Redeliveries(Protocol):
    """Tasks that deliver many again."""

    async def add(
        self,
        redelivery_id: str,
        *,
        owner: Owner,
        endpoint_id: str | None,
        start: datetime,
        end: datetime,
    ) -> Redelivery:
        """Starts a task, unless there is one with its id, and returns it."""

    async def get(self, redelivery_id: str, *, owner: Owner) -> Redelivery | None:
        """Returns the owner's task."""

    async def advance(self, *, deliveries_max: int) -> int:
        """Works off a batch of the oldest running task. Returns how many deliveries it looked at."""

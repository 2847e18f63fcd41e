"""A dispatcher whose duties run when they are called, and endpoints that are registered by hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from cryptography.fernet import Fernet
from reelgate.internal.intake.v1.event_pb2 import Event

from services.common.clock import Clock, utc_now
from services.common.egress.policy import UrlPolicy
from services.common.egress.sockets import LookUp
from services.common.postgres.database import open_pool
from services.webhooks.clients import open_receivers
from services.webhooks.convert import parse_event, render_disabled_event
from services.webhooks.domain import Answer, Attempt, Delivery, FreeCapacity, Verdict, judge, new_secret
from services.webhooks.duties.announce_disabled import announce_disabled
from services.webhooks.duties.deliver import Dispatcher
from services.webhooks.settings import WebhooksSettings
from services.webhooks.steps.attempt import attempt
from services.webhooks.store.deliveries import SqlDeliveries
from services.webhooks.store.disabled import SqlDisabledEndpoints
from services.webhooks.store.events import SqlEvents
from services.webhooks.store.membership import SqlMembership
from services.webhooks.store.secrets import SqlSigningSecrets
from tests.integration.webhooks.receiver import until
from tests.integration.webhooks.service import Database

ALL_EVENTS = ("video.generation.completed", "video.generation.failed", "webhook_endpoint.disabled")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A dispatcher whose duties run when they are called."""

    events: SqlEvents
    deliveries: SqlDeliveries
    membership: SqlMembership
    disabled: SqlDisabledEndpoints
    secrets: SqlSigningSecrets
    dispatcher: Dispatcher
    wake: asyncio.Event

    async def accept(self, *events: Event) -> int:
        return (await self.events.accept([parse_event(each) for each in events])).new_count

    async def deliver_due(self) -> None:
        """Claims what is due, waits for the attempts and records them."""
        await self.dispatcher.claim_due()
        await until(lambda: not self.dispatcher._attempts)
        await self.dispatcher.record_judged()

    async def claim(self, *, most: int = 100, rooms: FreeCapacity | None = None) -> list[Delivery]:
        claimed = await self.deliveries.claim(deliveries_max=most, rooms=rooms or FreeCapacity())
        return list(claimed.deliveries)


@asynccontextmanager
async def open_bench(
    settings: WebhooksSettings,
    *,
    look_up: LookUp | None = None,
    key: bytes | None = None,
    clock: Clock = utc_now,
) -> AsyncIterator[Bench]:
    policy = UrlPolicy(private_targets_allowed=settings.private_targets_allowed)
    async with (
        open_pool(settings.database_url, name="bench", connections_max=4) as pool,
        open_receivers(policy, clock=clock, connections_max=10, look_up=look_up) as receivers,
    ):
        secrets = SqlSigningSecrets(pool, Fernet(key or settings.secret_key.get_secret_value()))
        membership, disabled = SqlMembership(pool), SqlDisabledEndpoints(pool)
        deliveries = SqlDeliveries(pool, membership)
        wake = asyncio.Event()
        dispatcher = Dispatcher(
            deliveries=deliveries,
            membership=membership,
            attempt=partial(attempt, receivers=receivers, secrets=secrets, clock=clock),
            announce=partial(announce_disabled, endpoints=disabled, render_event=render_disabled_event),
            clock=clock,
            wake=wake,
        )
        yield Bench(
            events=SqlEvents(pool),
            deliveries=deliveries,
            membership=membership,
            disabled=disabled,
            secrets=secrets,
            dispatcher=dispatcher,
            wake=wake,
        )
        await membership.leave()


async def register(
    database: Database,
    settings: WebhooksSettings,
    endpoint_id: str,
    *,
    url: str,
    events: Sequence[str] = ALL_EVENTS,
    account_id: str = "acct_1",
    environment: str = "live",
) -> str:
    """Registers an endpoint and returns its secret."""
    secret = new_secret(lambda count: endpoint_id.encode().ljust(count, b".")[:count])
    await database.rows(
        """INSERT INTO endpoints (endpoint_id, account_id, environment, contract, url, events, sealed_secret)
        VALUES (%s, %s, %s, 'seedancee2', %s, %s, %s)""",
        endpoint_id,
        account_id,
        environment,
        url,
        list(events),
        sealed(settings, secret),
    )
    return secret


def sealed(settings: WebhooksSettings, secret: str) -> bytes:
    return Fernet(settings.secret_key.get_secret_value()).encrypt(secret.encode())


def answered(delivery: Delivery, status: int) -> Verdict:
    """Returns the verdict of an attempt that was answered."""
    answer = Answer(status=status, excerpt=b"")
    return judge(Attempt(delivery=delivery, started_at=utc_now(), latency_ms=1, result=answer))

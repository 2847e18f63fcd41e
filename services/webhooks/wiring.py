"""Builds a webhooks process: opens everything in order and closes it in reverse."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial
from secrets import token_bytes

from cryptography.fernet import Fernet
from reelgate.admin.v1.signing_secret_service_pb2_grpc import add_SigningSecretServiceServicer_to_server
from reelgate.internal.intake.v1.intake_service_pb2_grpc import add_IntakeServiceServicer_to_server

from services.common.boundary import errors_mapped, logged
from services.common.clock import utc_now
from services.common.database import Pool, open_pool
from services.common.egress import UrlPolicy, open_egress_session
from services.common.serve import AddServicer, Port, serve
from services.common.validation import validated
from services.common.wakeup import Wakeups, open_wakeups
from services.webhooks.clients import DELIVERY_TIMEOUT_SECONDS, HttpReceivers
from services.webhooks.ports import SigningSecrets
from services.webhooks.rpc import IntakeServicer, SigningSecretServicer
from services.webhooks.settings import WebhooksSettings
from services.webhooks.steps.attempt import attempt
from services.webhooks.store.deliveries import LEASE_SECONDS, SqlDeliveries
from services.webhooks.store.events import SqlEvents
from services.webhooks.store.secrets import SqlSigningSecrets
from services.webhooks.workers import DELIVERIES_MAX, Dispatcher

CHANNEL = "deliveries"
"""Rings when there may be something new to deliver."""

assert LEASE_SECONDS > DELIVERY_TIMEOUT_SECONDS, "a lease must outlive an attempt"


class Role(Flag):
    """What a process does."""

    API = auto()
    DISPATCHER = auto()
    ALL = API | DISPATCHER


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a running process answers, as `host:port`. Without the API that is its health only."""

    internal_address: str


@asynccontextmanager
async def open_webhooks(settings: WebhooksSettings, *, role: Role = Role.ALL) -> AsyncIterator[Running]:
    """Runs webhooks until the block ends, then stops gracefully."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, name="webhooks", connections_max=settings.connections_max)
        )
        wakeups = await stack.enter_async_context(open_wakeups(settings.database_url, (CHANNEL,)))
        secrets = SqlSigningSecrets(pool, Fernet(settings.secret_key.get_secret_value()))
        if Role.DISPATCHER in role:
            await stack.enter_async_context(_dispatching(settings, pool, wakeups=wakeups, secrets=secrets))
        port = Port(
            address=settings.internal_address,
            services=_services(pool, wakeups=wakeups, secrets=secrets) if Role.API in role else (),
            layers=(logged, errors_mapped, validated),
            reflection=settings.reflection,
        )
        [address] = await stack.enter_async_context(serve(port, notice_seconds=settings.notice_seconds))
        yield Running(internal_address=address)


@asynccontextmanager
async def _dispatching(
    settings: WebhooksSettings, pool: Pool, *, wakeups: Wakeups, secrets: SigningSecrets
) -> AsyncIterator[None]:
    policy = UrlPolicy(private_targets_allowed=settings.private_targets_allowed)
    async with open_egress_session(policy, connections_max=DELIVERIES_MAX) as session:
        dispatcher = Dispatcher(
            deliveries=SqlDeliveries(pool),
            attempt=partial(attempt, receivers=HttpReceivers(session), secrets=secrets, clock=utc_now),
            clock=utc_now,
            wake=wakeups.bell(CHANNEL),
        )
        async with dispatcher.running():
            yield


def _services(pool: Pool, *, wakeups: Wakeups, secrets: SigningSecrets) -> Sequence[tuple[str, AddServicer]]:
    intake = IntakeServicer(events=SqlEvents(pool), ring=partial(wakeups.ring, CHANNEL))
    signing = SigningSecretServicer(secrets=secrets, random_bytes=token_bytes)
    return (
        ("reelgate.internal.intake.v1.IntakeService", partial(add_IntakeServiceServicer_to_server, intake)),
        (
            "reelgate.admin.v1.SigningSecretService",
            partial(add_SigningSecretServiceServicer_to_server, signing),
        ),
    )

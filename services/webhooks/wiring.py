"""Builds a webhooks process: opens everything in order and closes it in reverse."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial
from secrets import token_bytes

from cryptography.fernet import MultiFernet
from reelgate.admin.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from reelgate.admin.v1.signing_secret_service_pb2_grpc import add_SigningSecretServiceServicer_to_server
from reelgate.internal.intake.v1.intake_service_pb2_grpc import add_IntakeServiceServicer_to_server
from reelgate.webhooks.v1.webhook_listeners_service_pb2_grpc import (
    add_WebhookListenersServiceServicer_to_server,
)
from reelgate.webhooks.v1.webhooks_service_pb2_grpc import add_WebhooksServiceServicer_to_server

from services.common.audit.servicer import AUDIT_SERVICE, AuditServicer
from services.common.audit.store import SqlAuditLog
from services.common.auth.authentication import KeyCache
from services.common.auth.key_client import KeyClient
from services.common.clock import utc_now
from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import check_url
from services.common.idempotency.store import SqlIdempotencyKeys, forget_expired
from services.common.ids import new_id
from services.common.loop import performing
from services.common.postgres.database import Pool, open_pool
from services.common.postgres.notifier import Notifier, open_notifier
from services.common.rate_limit.client import LimitClient
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.client import open_channel
from services.common.rpc.internal_port import inner_port, inner_tls
from services.common.rpc.public_port import build_public_port
from services.common.rpc.reach import tried
from services.common.rpc.server import Port, serve
from services.common.start import starting
from services.common.telemetry.readings import reading
from services.common.tls.files import TlsFolder
from services.webhooks.clients import DELIVERY_TIMEOUT_SECONDS, open_receivers
from services.webhooks.convert import render_disabled_event, render_test_event
from services.webhooks.duties.advance_redeliveries import advance_redeliveries
from services.webhooks.duties.announce_disabled import announce_disabled
from services.webhooks.duties.deliver import DELIVERIES_MAX, Dispatcher
from services.webhooks.duties.forget_events import forget_events
from services.webhooks.duties.forget_listeners import forget_listeners
from services.webhooks.operations.deliveries import DeliveryOperations
from services.webhooks.operations.endpoints import EndpointOperations
from services.webhooks.operations.listeners import ListenerOperations
from services.webhooks.operations.redeliveries import RedeliveryOperations
from services.webhooks.rpc.intake import IntakeServicer
from services.webhooks.rpc.listeners import WebhookListenersServicer
from services.webhooks.rpc.signing_secrets import SigningSecretServicer
from services.webhooks.rpc.webhooks import WebhooksServicer
from services.webhooks.settings import WebhooksSettings
from services.webhooks.steps.attempt import attempt
from services.webhooks.store.deliveries import LEASE_SECONDS, SqlDeliveries
from services.webhooks.store.disabled import SqlDisabledEndpoints
from services.webhooks.store.endpoints import SqlEndpoints
from services.webhooks.store.events import SqlEvents
from services.webhooks.store.history import SqlHistory
from services.webhooks.store.listeners import EndedListeners, SqlListeners
from services.webhooks.store.membership import SqlMembership
from services.webhooks.store.readings import readings
from services.webhooks.store.redeliveries import SqlRedeliveries
from services.webhooks.store.retention import OldEvents
from services.webhooks.store.sealed_rows import SqlSealedRows
from services.webhooks.store.secrets import SqlSigningSecrets
from services.webhooks.watch import ListenerWatch

PUBLIC_SERVICE = "reelgate.webhooks.v1.WebhooksService"
LISTENERS_SERVICE = "reelgate.webhooks.v1.WebhookListenersService"
INTAKE_SERVICE = "reelgate.internal.intake.v1.IntakeService"
SIGNING_SERVICE = "reelgate.admin.v1.SigningSecretService"
ACCESS = dict.fromkeys((PUBLIC_SERVICE, LISTENERS_SERVICE), frozenset({"seedancee2", "nextapi"}))
CHANNEL = "deliveries"
"""Notified when there may be something new to deliver."""
TOLD_TOPIC = "listeners"
"""The listeners that were told of something new."""

assert LEASE_SECONDS > DELIVERY_TIMEOUT_SECONDS, "a lease must outlive an attempt"


class Role(Flag):
    """What a process does."""

    API = auto()
    DISPATCHER = auto()
    ALL = API | DISPATCHER


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a running process answers, as `host:port`. Without the API, only its health port."""

    health_address: str
    internal_address: str | None
    admin_address: str | None
    public_address: str | None


@asynccontextmanager
async def open_webhooks(settings: WebhooksSettings, *, role: Role = Role.ALL) -> AsyncIterator[Running]:
    """Runs webhooks until the block ends, then stops gracefully. Raises SettingsError."""
    tls = None
    if Role.API in role:
        tls = inner_tls(settings, settings.internal_address, settings.admin_address)
    async with AsyncExitStack() as stack:
        health = await stack.enter_async_context(starting(settings, service="webhooks"))
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, name="webhooks", connections_max=settings.connections_max)
        )
        notifier = await stack.enter_async_context(
            open_notifier(settings.database_url, (CHANNEL,), name="webhooks-wakeups", topics=(TOLD_TOPIC,))
        )
        fernet = MultiFernet(settings.sealing_keys)
        secrets = SqlSigningSecrets(pool, fernet)
        if Role.DISPATCHER in role:
            await stack.enter_async_context(_dispatching(settings, pool, notifier=notifier, secrets=secrets))
        notify = _notify(notifier, role)
        ports: list[Port] = []
        let_go: list[Callable[[], None]] = []
        if Role.API in role:
            billing = await stack.enter_async_context(open_channel(settings.billing_target, tls=tls))
            await tried(billing)
            keys = KeyCache(KeyClient(billing).look_up, forms=settings.key_forms)
            limiter = Limiter(LimitClient(billing).lease, holder=new_id("holder"))
            await stack.enter_async_context(limiter.running())
            watch = ListenerWatch(SqlListeners(pool, fernet))
            notifier.subscribe(TOLD_TOPIC, watch.receive)
            await stack.enter_async_context(watch.running())
            let_go.append(watch.release)
            ports = [
                public_port(
                    settings, pool, fernet=fernet, notify=notify, keys=keys, limiter=limiter, watch=watch
                ),
                _internal_port(
                    settings, pool, notify=notify, tell=partial(notifier.publish, TOLD_TOPIC), tls=tls
                ),
                _admin_port(settings, pool, secrets=secrets, tls=tls),
            ]
        served = await stack.enter_async_context(
            serve(*ports, health=health, notice_seconds=settings.notice_seconds, let_go=let_go)
        )
        public_address, internal_address, admin_address = served or (None, None, None)
        yield Running(
            health_address=health.address,
            internal_address=internal_address,
            admin_address=admin_address,
            public_address=public_address,
        )


@asynccontextmanager
async def _dispatching(
    settings: WebhooksSettings, pool: Pool, *, notifier: Notifier, secrets: SqlSigningSecrets
) -> AsyncIterator[None]:
    wake = notifier.event(CHANNEL)
    old_events = OldEvents(pool, kept_days=settings.kept_days, kept_days_of=settings.kept_days_of)
    duties = (
        advance_redeliveries(SqlRedeliveries(pool), notify=wake.set),
        forget_events(old_events),
        forget_listeners(EndedListeners(pool)),
        forget_expired(SqlIdempotencyKeys(pool)),
        reading(
            pool,
            readings(kept_days=settings.kept_days, kept_days_of=settings.kept_days_of),
            service="webhooks",
        ),
    )
    async with open_receivers(_policy(settings), clock=utc_now, connections_max=DELIVERIES_MAX) as receivers:
        membership = SqlMembership(pool)
        dispatcher = Dispatcher(
            deliveries=SqlDeliveries(pool, membership),
            membership=membership,
            attempt=partial(attempt, receivers=receivers, secrets=secrets, clock=utc_now),
            announce=partial(
                announce_disabled, endpoints=SqlDisabledEndpoints(pool), render_event=render_disabled_event
            ),
            clock=utc_now,
            wake=wake,
        )
        async with dispatcher.running(), performing(*duties):
            yield


def _policy(settings: WebhooksSettings) -> UrlPolicy:
    return UrlPolicy(private_targets_allowed=settings.private_targets_allowed)


def public_port(
    settings: WebhooksSettings,
    pool: Pool,
    *,
    fernet: MultiFernet,
    notify: Callable[[], None],
    keys: KeyCache,
    limiter: Limiter,
    watch: ListenerWatch,
) -> Port:
    """Returns what customers call. `notify` wakes the dispatchers."""
    endpoints, history = SqlEndpoints(pool, fernet), SqlHistory(pool)
    webhooks = WebhooksServicer(
        endpoints=EndpointOperations(
            endpoints=endpoints,
            history=history,
            check_url=partial(check_url, policy=_policy(settings)),
            render_test=render_test_event,
            new_id=new_id,
            random_bytes=token_bytes,
            notify=notify,
            clock=utc_now,
        ),
        deliveries=DeliveryOperations(history=history, notify=notify),
        redeliveries=RedeliveryOperations(
            endpoints=endpoints, redeliveries=SqlRedeliveries(pool), new_id=new_id
        ),
        clock=utc_now,
    )
    listeners = WebhookListenersServicer(
        operations=ListenerOperations(
            listeners=SqlListeners(pool, fernet), new_id=new_id, random_bytes=token_bytes
        ),
        watch=watch,
        clock=utc_now,
    )
    return build_public_port(
        settings.public_address,
        (
            (PUBLIC_SERVICE, partial(add_WebhooksServiceServicer_to_server, webhooks)),
            (LISTENERS_SERVICE, partial(add_WebhookListenersServiceServicer_to_server, listeners)),
        ),
        access=ACCESS,
        keys=keys,
        limiter=limiter,
        # The answer to a registration holds a secret.
        idempotency_keys=SqlIdempotencyKeys(pool, seal=fernet.encrypt, unseal=fernet.decrypt),
        reflection=settings.reflection,
    )


def _notify(notifier: Notifier, role: Role) -> Callable[[], None]:
    if Role.DISPATCHER in role:
        # The dispatcher in this process takes it at once. Notifying the others would cost two statements.
        return notifier.event(CHANNEL).set
    return partial(notifier.notify, CHANNEL)


def _internal_port(
    settings: WebhooksSettings,
    pool: Pool,
    *,
    notify: Callable[[], None],
    tell: Callable[[str], None],
    tls: TlsFolder | None,
) -> Port:
    intake = IntakeServicer(events=SqlEvents(pool), notify=notify, tell=tell)
    add = partial(add_IntakeServiceServicer_to_server, intake)
    return inner_port(
        settings.internal_address,
        ((INTAKE_SERVICE, add, settings.jobs_identities),),
        tls=tls,
        reflection=settings.reflection,
    )


def _admin_port(
    settings: WebhooksSettings, pool: Pool, *, secrets: SqlSigningSecrets, tls: TlsFolder | None
) -> Port:
    sealed_rows = SqlSealedRows(pool, settings.sealing_keys)
    signing = SigningSecretServicer(secrets=secrets, sealed_rows=sealed_rows, random_bytes=token_bytes)
    audit = AuditServicer(SqlAuditLog(pool))
    operators = settings.operator_identities
    return inner_port(
        settings.admin_address,
        (
            (SIGNING_SERVICE, partial(add_SigningSecretServiceServicer_to_server, signing), operators),
            (AUDIT_SERVICE, partial(add_AuditServiceServicer_to_server, audit), operators),
        ),
        tls=tls,
        reflection=settings.reflection,
    )

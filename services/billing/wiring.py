"""Builds a billing process: opens everything in order and closes it in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from reelgate.admin.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from reelgate.admin.v1.key_admin_service_pb2_grpc import add_KeyAdminServiceServicer_to_server
from reelgate.billing.v1.billing_service_pb2_grpc import add_BillingServiceServicer_to_server
from reelgate.internal.keys.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from reelgate.internal.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server

from services.billing import rpc
from services.billing.ports import Accounts, Holds, Keys
from services.billing.settings import BillingSettings
from services.billing.store.accounts import SqlAccounts
from services.billing.store.holds import SqlHolds
from services.billing.store.keys import SqlKeys
from services.billing.workers import sweep_expired
from services.common.authentication import KeyCache, authenticated
from services.common.boundary import errors_mapped, logged
from services.common.database import open_pool
from services.common.loop import running
from services.common.serve import Port, serve
from services.common.validation import validated

PUBLIC_SERVICE = "reelgate.billing.v1.BillingService"
ACCESS = {PUBLIC_SERVICE: frozenset({"seedancee2", "nextapi"})}


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a running process answers, as `host:port`."""

    public_address: str
    internal_address: str


@asynccontextmanager
async def open_billing(settings: BillingSettings) -> AsyncIterator[Running]:
    """Runs billing until the block ends, then stops gracefully."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, name="billing", connections_max=settings.connections_max)
        )
        holds, accounts, keys = SqlHolds(pool), SqlAccounts(pool), SqlKeys(pool)
        await stack.enter_async_context(running(sweep_expired(holds=holds)))
        internal = _internal_port(settings, holds=holds, accounts=accounts, keys=keys)
        public = _public_port(settings, accounts=accounts, keys=keys)
        internal_address, public_address = await stack.enter_async_context(
            serve(internal, public, notice_seconds=settings.notice_seconds)
        )
        yield Running(public_address=public_address, internal_address=internal_address)


def _internal_port(settings: BillingSettings, *, holds: Holds, accounts: Accounts, keys: Keys) -> Port:
    ledger = rpc.LedgerServicer(holds=holds)
    key = rpc.KeyServicer(keys=keys)
    account = rpc.AccountServicer(accounts=accounts)
    key_admin = rpc.KeyAdminServicer(accounts=accounts, keys=keys)
    return Port(
        address=settings.internal_address,
        services=(
            (
                "reelgate.internal.ledger.v1.LedgerService",
                partial(add_LedgerServiceServicer_to_server, ledger),
            ),
            ("reelgate.internal.keys.v1.KeyService", partial(add_KeyServiceServicer_to_server, key)),
            ("reelgate.admin.v1.AccountService", partial(add_AccountServiceServicer_to_server, account)),
            ("reelgate.admin.v1.KeyAdminService", partial(add_KeyAdminServiceServicer_to_server, key_admin)),
        ),
        layers=(logged, errors_mapped, validated),
        reflection=settings.reflection,
    )


def _public_port(settings: BillingSettings, *, accounts: Accounts, keys: Keys) -> Port:
    billing = rpc.BillingServicer(accounts=accounts)
    return Port(
        address=settings.public_address,
        services=((PUBLIC_SERVICE, partial(add_BillingServiceServicer_to_server, billing)),),
        layers=(logged, errors_mapped, authenticated(KeyCache(keys.find), ACCESS), validated),
        reflection=settings.reflection,
    )

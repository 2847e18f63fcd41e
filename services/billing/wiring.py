"""Builds a billing process: opens everything in order and closes it in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from reelgate.admin.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from reelgate.admin.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from reelgate.admin.v1.key_admin_service_pb2_grpc import add_KeyAdminServiceServicer_to_server
from reelgate.admin.v1.price_admin_service_pb2_grpc import add_PriceAdminServiceServicer_to_server
from reelgate.admin.v1.verifier_service_pb2_grpc import add_VerifierServiceServicer_to_server
from reelgate.billing.v1.billing_service_pb2_grpc import add_BillingServiceServicer_to_server
from reelgate.internal.keys.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from reelgate.internal.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from reelgate.internal.limits.v1.limit_service_pb2_grpc import add_LimitServiceServicer_to_server
from reelgate.internal.prices.v1.price_service_pb2_grpc import add_PriceServiceServicer_to_server

from services.billing.operations.lease_calls import lease_calls
from services.billing.operations.set_prices import set_prices
from services.billing.operations.verify_ledger import verify_ledger
from services.billing.ports import Accounts, AuditLog, Books, CallLimits, Holds, Keys, Prices, Statements
from services.billing.prices import load_prices
from services.billing.rpc.accounts import AccountServicer
from services.billing.rpc.audit import AuditServicer
from services.billing.rpc.balance import BillingServicer
from services.billing.rpc.key_admin import KeyAdminServicer
from services.billing.rpc.keys import KeyServicer
from services.billing.rpc.ledger import LedgerServicer
from services.billing.rpc.limits import LimitServicer
from services.billing.rpc.prices import PriceAdminServicer, PriceServicer
from services.billing.rpc.verifier import VerifierServicer
from services.billing.settings import BillingSettings
from services.billing.store.accounts import SqlAccounts
from services.billing.store.audit import SqlAuditLog
from services.billing.store.call_limits import SqlCallLimits
from services.billing.store.holds import SqlHolds
from services.billing.store.keys import SqlKeys
from services.billing.store.prices import SqlPrices
from services.billing.store.statements import SqlStatements
from services.billing.store.verification import SqlBooks
from services.billing.workers import sweep_expired
from services.common.authentication import KeyCache, authenticated
from services.common.boundary import errors_mapped, logged
from services.common.database import open_pool
from services.common.ids import new_id
from services.common.limits import Limiter, limited
from services.common.loop import running
from services.common.serve import Port, serve
from services.common.validation import validated
from services.common.verification import keep_verifying

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
        holds, accounts, keys, prices = SqlHolds(pool), SqlAccounts(pool), SqlKeys(pool), SqlPrices(pool)
        await set_prices(load_prices(settings.prices_file), prices=prices)
        await stack.enter_async_context(running(sweep_expired(holds=holds)))
        books = SqlBooks(pool)
        await stack.enter_async_context(running(keep_verifying(partial(verify_ledger, books=books))))
        limits = SqlCallLimits(pool)
        limiter = Limiter(partial(lease_calls, limits=limits), holder=new_id("holder"))
        await stack.enter_async_context(limiter.running())
        internal = _internal_port(
            settings,
            holds=holds,
            accounts=accounts,
            keys=keys,
            prices=prices,
            statements=SqlStatements(pool),
            audit_log=SqlAuditLog(pool),
            books=books,
            limits=limits,
        )
        public = _public_port(settings, accounts=accounts, keys=keys, limiter=limiter)
        internal_address, public_address = await stack.enter_async_context(
            serve(internal, public, notice_seconds=settings.notice_seconds)
        )
        yield Running(public_address=public_address, internal_address=internal_address)


def _internal_port(
    settings: BillingSettings,
    *,
    holds: Holds,
    accounts: Accounts,
    keys: Keys,
    prices: Prices,
    statements: Statements,
    audit_log: AuditLog,
    books: Books,
    limits: CallLimits,
) -> Port:
    ledger = LedgerServicer(holds=holds, accounts=accounts)
    key = KeyServicer(keys=keys)
    account = AccountServicer(accounts=accounts, statements=statements)
    key_admin = KeyAdminServicer(accounts=accounts, keys=keys)
    audit = AuditServicer(audit_log=audit_log)
    verifier = VerifierServicer(books=books)
    limit = LimitServicer(limits=limits)
    price = PriceServicer(prices=prices)
    price_admin = PriceAdminServicer(prices=prices)
    return Port(
        address=settings.internal_address,
        services=(
            (
                "reelgate.internal.ledger.v1.LedgerService",
                partial(add_LedgerServiceServicer_to_server, ledger),
            ),
            ("reelgate.internal.keys.v1.KeyService", partial(add_KeyServiceServicer_to_server, key)),
            ("reelgate.internal.limits.v1.LimitService", partial(add_LimitServiceServicer_to_server, limit)),
            ("reelgate.admin.v1.AccountService", partial(add_AccountServiceServicer_to_server, account)),
            ("reelgate.admin.v1.KeyAdminService", partial(add_KeyAdminServiceServicer_to_server, key_admin)),
            ("reelgate.admin.v1.AuditService", partial(add_AuditServiceServicer_to_server, audit)),
            ("reelgate.admin.v1.VerifierService", partial(add_VerifierServiceServicer_to_server, verifier)),
            ("reelgate.internal.prices.v1.PriceService", partial(add_PriceServiceServicer_to_server, price)),
            (
                "reelgate.admin.v1.PriceAdminService",
                partial(add_PriceAdminServiceServicer_to_server, price_admin),
            ),
        ),
        layers=(logged, errors_mapped, validated),
        reflection=settings.reflection,
    )


def _public_port(settings: BillingSettings, *, accounts: Accounts, keys: Keys, limiter: Limiter) -> Port:
    billing = BillingServicer(accounts=accounts)
    return Port(
        address=settings.public_address,
        services=((PUBLIC_SERVICE, partial(add_BillingServiceServicer_to_server, billing)),),
        layers=(
            logged,
            errors_mapped,
            authenticated(KeyCache(keys.find), ACCESS),
            limited(limiter, ACCESS),
            validated,
        ),
        reflection=settings.reflection,
    )

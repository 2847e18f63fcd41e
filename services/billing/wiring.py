"""Builds a billing process: opens everything in order and closes it in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from reelgate.admin.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from reelgate.admin.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from reelgate.admin.v1.hold_admin_service_pb2_grpc import add_HoldAdminServiceServicer_to_server
from reelgate.admin.v1.key_admin_service_pb2_grpc import add_KeyAdminServiceServicer_to_server
from reelgate.admin.v1.price_admin_service_pb2_grpc import add_PriceAdminServiceServicer_to_server
from reelgate.admin.v1.verifier_service_pb2_grpc import add_VerifierServiceServicer_to_server
from reelgate.billing.v1.billing_service_pb2_grpc import add_BillingServiceServicer_to_server
from reelgate.internal.keys.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server
from reelgate.internal.ledger.v1.ledger_service_pb2_grpc import add_LedgerServiceServicer_to_server
from reelgate.internal.limits.v1.limit_service_pb2_grpc import add_LimitServiceServicer_to_server
from reelgate.internal.prices.v1.price_service_pb2_grpc import add_PriceServiceServicer_to_server

from services.billing.duties.expire_holds import expire_holds
from services.billing.operations.lease_calls import lease_calls
from services.billing.operations.prices import set_prices
from services.billing.operations.verify_ledger import AMOUNT_RULES, CHECKS, verify_ledger
from services.billing.prices import load_prices
from services.billing.rpc.accounts import AccountServicer
from services.billing.rpc.balance import BillingServicer
from services.billing.rpc.hold_admin import HoldAdminServicer
from services.billing.rpc.key_admin import KeyAdminServicer
from services.billing.rpc.keys import KeyServicer
from services.billing.rpc.ledger import LedgerServicer
from services.billing.rpc.limits import LimitServicer
from services.billing.rpc.prices import PriceAdminServicer, PriceServicer
from services.billing.rpc.verifier import VerifierServicer
from services.billing.settings import BillingSettings
from services.billing.store.accounts import SqlAccounts
from services.billing.store.call_limits import SqlCallLimits
from services.billing.store.holds import SqlHolds
from services.billing.store.keys import SqlKeys
from services.billing.store.prices import SqlPrices
from services.billing.store.readings import READINGS
from services.billing.store.statements import SqlStatements
from services.billing.store.verification import SqlLedgerPages
from services.common.audit.servicer import AUDIT_SERVICE, AuditServicer
from services.common.audit.store import SqlAuditLog
from services.common.auth.authentication import KeyCache
from services.common.ids import new_id
from services.common.loop import performing
from services.common.postgres.database import open_pool
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.internal_port import inner_port, inner_tls
from services.common.rpc.public_port import build_public_port
from services.common.rpc.server import Port, serve
from services.common.start import starting
from services.common.telemetry.readings import reading
from services.common.tls.files import TlsFolder
from services.common.verification.checks import verifying

PUBLIC_SERVICE = "reelgate.billing.v1.BillingService"
LEDGER_SERVICE = "reelgate.internal.ledger.v1.LedgerService"
KEY_SERVICE = "reelgate.internal.keys.v1.KeyService"
LIMIT_SERVICE = "reelgate.internal.limits.v1.LimitService"
PRICE_SERVICE = "reelgate.internal.prices.v1.PriceService"
ACCOUNT_SERVICE = "reelgate.admin.v1.AccountService"
HOLD_ADMIN_SERVICE = "reelgate.admin.v1.HoldAdminService"
KEY_ADMIN_SERVICE = "reelgate.admin.v1.KeyAdminService"
VERIFIER_SERVICE = "reelgate.admin.v1.VerifierService"
PRICE_ADMIN_SERVICE = "reelgate.admin.v1.PriceAdminService"
ACCESS = {PUBLIC_SERVICE: frozenset({"seedancee2", "nextapi"})}


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a running process answers, as `host:port`."""

    public_address: str
    internal_address: str
    admin_address: str
    health_address: str


@asynccontextmanager
async def open_billing(settings: BillingSettings) -> AsyncIterator[Running]:
    """Runs billing until the block ends, then stops gracefully. Raises SettingsError."""
    tls = inner_tls(settings, settings.internal_address, settings.admin_address)
    async with AsyncExitStack() as stack:
        health = await stack.enter_async_context(starting(settings, service="billing"))
        pool = await stack.enter_async_context(
            open_pool(settings.database_url, name="billing", connections_max=settings.connections_max)
        )
        holds, accounts, keys, prices = SqlHolds(pool), SqlAccounts(pool), SqlKeys(pool), SqlPrices(pool)
        await set_prices(load_prices(settings.prices_file), prices=prices)
        pages = SqlLedgerPages(pool)
        # One of its own: to check everything all the time never keeps a customer waiting, and is counted apart.
        checking = await stack.enter_async_context(
            open_pool(settings.database_url, name="billing-verifier", connections_max=1)
        )
        duties = (
            expire_holds(holds),
            verifying(
                partial(verify_ledger, pages=SqlLedgerPages(checking)), checks=CHECKS, amounts=AMOUNT_RULES
            ),
            reading(pool, READINGS, service="billing"),
        )
        await stack.enter_async_context(performing(*duties))
        limits = SqlCallLimits(pool)
        limiter = Limiter(partial(lease_calls, limits=limits), holder=new_id("holder"))
        await stack.enter_async_context(limiter.running())
        internal = _internal_port(
            settings, holds=holds, accounts=accounts, keys=keys, prices=prices, limits=limits, tls=tls
        )
        admin = _admin_port(
            settings,
            holds=holds,
            accounts=accounts,
            keys=keys,
            prices=prices,
            statements=SqlStatements(pool),
            audit_log=SqlAuditLog(pool),
            pages=pages,
            tls=tls,
        )
        public = _public_port(settings, accounts=accounts, keys=keys, limiter=limiter)
        public_address, internal_address, admin_address = await stack.enter_async_context(
            serve(public, internal, admin, health=health, notice_seconds=settings.notice_seconds)
        )
        yield Running(
            public_address=public_address,
            internal_address=internal_address,
            admin_address=admin_address,
            health_address=health.address,
        )


def _internal_port(
    settings: BillingSettings,
    *,
    holds: SqlHolds,
    accounts: SqlAccounts,
    keys: SqlKeys,
    prices: SqlPrices,
    limits: SqlCallLimits,
    tls: TlsFolder | None,
) -> Port:
    ledger = LedgerServicer(holds=holds, accounts=accounts)
    key = KeyServicer(keys=keys)
    limit = LimitServicer(limits=limits)
    price = PriceServicer(prices=prices)
    jobs = settings.jobs_identities
    both = (*jobs, *settings.webhooks_identities)
    return inner_port(
        settings.internal_address,
        (
            (LEDGER_SERVICE, partial(add_LedgerServiceServicer_to_server, ledger), jobs),
            (KEY_SERVICE, partial(add_KeyServiceServicer_to_server, key), both),
            (LIMIT_SERVICE, partial(add_LimitServiceServicer_to_server, limit), both),
            (PRICE_SERVICE, partial(add_PriceServiceServicer_to_server, price), jobs),
        ),
        tls=tls,
        reflection=settings.reflection,
    )


def _admin_port(
    settings: BillingSettings,
    *,
    holds: SqlHolds,
    accounts: SqlAccounts,
    keys: SqlKeys,
    prices: SqlPrices,
    statements: SqlStatements,
    audit_log: SqlAuditLog,
    pages: SqlLedgerPages,
    tls: TlsFolder | None,
) -> Port:
    account = AccountServicer(accounts=accounts, statements=statements)
    hold_admin = HoldAdminServicer(holds=holds)
    key_admin = KeyAdminServicer(accounts=accounts, keys=keys, forms=settings.key_forms)
    audit = AuditServicer(audit_log)
    verifier = VerifierServicer(pages=pages)
    price = PriceServicer(prices=prices)
    price_admin = PriceAdminServicer(prices=prices)
    operators = settings.operator_identities
    return inner_port(
        settings.admin_address,
        (
            (ACCOUNT_SERVICE, partial(add_AccountServiceServicer_to_server, account), operators),
            (HOLD_ADMIN_SERVICE, partial(add_HoldAdminServiceServicer_to_server, hold_admin), operators),
            (KEY_ADMIN_SERVICE, partial(add_KeyAdminServiceServicer_to_server, key_admin), operators),
            (AUDIT_SERVICE, partial(add_AuditServiceServicer_to_server, audit), operators),
            (VERIFIER_SERVICE, partial(add_VerifierServiceServicer_to_server, verifier), operators),
            (PRICE_ADMIN_SERVICE, partial(add_PriceAdminServiceServicer_to_server, price_admin), operators),
            # Operators read the prices that they set.
            (PRICE_SERVICE, partial(add_PriceServiceServicer_to_server, price), operators),
        ),
        tls=tls,
        reflection=settings.reflection,
    )


def _public_port(
    settings: BillingSettings, *, accounts: SqlAccounts, keys: SqlKeys, limiter: Limiter
) -> Port:
    billing = BillingServicer(accounts=accounts)
    return build_public_port(
        settings.public_address,
        ((PUBLIC_SERVICE, partial(add_BillingServiceServicer_to_server, billing)),),
        access=ACCESS,
        keys=KeyCache(keys.find, forms=settings.key_forms),
        limiter=limiter,
        idempotency_keys=None,
        reflection=settings.reflection,
    )

"""Billing as tests use it: the real process in this one, its stubs, and its database."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr
from reelgate.admin.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    audit_pb2,
    audit_service_pb2,
    audit_service_pb2_grpc,
    key_admin_service_pb2,
    key_admin_service_pb2_grpc,
)
from reelgate.internal.keys.v1 import key_service_pb2, key_service_pb2_grpc
from reelgate.internal.ledger.v1 import hold_pb2, ledger_service_pb2, ledger_service_pb2_grpc

from services.billing.duties.expire_holds import expire_holds
from services.billing.settings import BillingSettings
from services.billing.store.holds import SqlHolds
from services.billing.wiring import Running, open_billing
from services.common.postgres.database import open_pool
from services.common.rpc.client import open_channel
from services.common.rpc.enums import environment_value
from tests.conftest import KEY_SECRET
from tests.patience import PATIENCE_SECONDS

CREDIT = 1_000_000
HOLD_SECONDS = 3600
NOTE = audit_pb2.AuditNote(actor="tests", reason="welcome")


def settings_for(database_url: str, **changes: Any) -> BillingSettings:
    return BillingSettings(
        database_url=database_url,
        key_checksum_secrets=(SecretStr(KEY_SECRET),),
        **{
            "public_address": "127.0.0.1:0",
            "internal_address": "127.0.0.1:0",
            "admin_address": "127.0.0.1:0",
            "health_address": "127.0.0.1:0",
            "plaintext_internal": "tls_folder" not in changes,
            **changes,
        },
    )


@dataclass(frozen=True)
class Billing:
    """A running billing process and short ways to call it. Refusals arrive as ServiceError."""

    running: Running
    database_url: str
    ledger: "ledger_service_pb2_grpc.LedgerServiceAsyncStub"
    accounts: "account_service_pb2_grpc.AccountServiceAsyncStub"
    key_admin: "key_admin_service_pb2_grpc.KeyAdminServiceAsyncStub"
    keys: "key_service_pb2_grpc.KeyServiceAsyncStub"
    audit: "audit_service_pb2_grpc.AuditServiceAsyncStub"

    async def account(self, *, contract: str = "seedancee2", credits_live: int = 0) -> str:
        created = await self.accounts.CreateAccount(
            account_service_pb2.CreateAccountRequest(name="Acme", contract=contract, audit=NOTE)
        )
        if credits_live:
            await self.grant(created.account_id, credits_live * CREDIT)
        return created.account_id

    async def grant(
        self, account_id: str, micros: int, *, grant_id: str | None = None, environment: str | int = "live"
    ) -> int:
        value: Any = environment_value(environment) if isinstance(environment, str) else environment
        granted = await self.accounts.GrantCredits(
            account_service_pb2.GrantCreditsRequest(
                grant_id=grant_id or f"grant-{account_id}",
                account_id=account_id,
                environment=value,
                amount_micros=micros,
                audit=NOTE,
            )
        )
        return granted.available_micros

    async def correct(
        self, account_id: str, micros: int, *, correction_id: str = "correction-1", environment: str = "live"
    ) -> int:
        corrected = await self.accounts.CorrectBalance(
            account_service_pb2.CorrectBalanceRequest(
                correction_id=correction_id,
                account_id=account_id,
                environment=environment_value(environment),
                amount_micros=micros,
                audit=NOTE,
            )
        )
        return corrected.available_micros

    async def new_key(
        self, account_id: str, environment: str = "live"
    ) -> key_admin_service_pb2.CreateKeyResponse:
        return await self.key_admin.CreateKey(
            key_admin_service_pb2.CreateKeyRequest(
                account_id=account_id, environment=environment_value(environment), audit=NOTE
            )
        )

    async def look_up(self, secret: str) -> key_service_pb2.LookUpKeyResponse:
        digest = hashlib.sha256(secret.encode()).digest()
        return await self.keys.LookUpKey(key_service_pb2.LookUpKeyRequest(key_sha256=digest))

    async def audit_entries(self, subject_id: str | None = None) -> list[audit_pb2.AuditEntry]:
        """Newest first, without that of the prices every process brings along."""
        listed = await self.audit.ListAuditEntries(
            audit_service_pb2.ListAuditEntriesRequest(subject_id=subject_id)
        )
        return [entry for entry in listed.entries if entry.action != "prices.set"]

    async def hold(
        self,
        hold_id: str,
        account_id: str,
        micros: int,
        *,
        environment: str = "live",
        key_id: str | None = None,
    ) -> hold_pb2.Hold:
        answer = await self.ledger.CreateHold(
            ledger_service_pb2.CreateHoldRequest(
                hold_id=hold_id,
                account_id=account_id,
                environment=environment,
                amount_micros=micros,
                key_id=key_id,
            )
        )
        return answer.hold

    async def confirm(self, hold_id: str, *, lasts_seconds: int = HOLD_SECONDS) -> hold_pb2.Hold:
        answer = await self.ledger.ConfirmHold(
            ledger_service_pb2.ConfirmHoldRequest(hold_id=hold_id, lasts_seconds=lasts_seconds)
        )
        return answer.hold

    async def capture(self, hold_id: str, micros: int) -> hold_pb2.Hold:
        answer = await self.ledger.CaptureHold(
            ledger_service_pb2.CaptureHoldRequest(hold_id=hold_id, amount_micros=micros)
        )
        return answer.hold

    async def release(self, hold_id: str) -> hold_pb2.Hold:
        answer = await self.ledger.ReleaseHold(ledger_service_pb2.ReleaseHoldRequest(hold_id=hold_id))
        return answer.hold

    async def refund(
        self, refund_id: str, hold_id: str, micros: int, *, reason: str = "goodwill"
    ) -> hold_pb2.Hold:
        answer = await self.ledger.RefundHold(
            ledger_service_pb2.RefundHoldRequest(
                refund_id=refund_id, hold_id=hold_id, amount_micros=micros, reason=reason
            )
        )
        return answer.hold

    async def rows(self, statement: str, *values: Any, **named: Any) -> list[dict[str, Any]]:
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            cursor = await connection.cursor(row_factory=dict_row).execute(statement, named or values)
            return await cursor.fetchall() if cursor.rownumber is not None else []

    async def everything(self) -> dict[str, list[str]]:
        """What the tables of money, keys and changes hold, to be compared with what they held before."""
        found = {}
        for table in (
            "accounts", "api_keys", "balances", "holds", "transactions", "entries", "spending", "audit",
        ):  # fmt: skip
            rows = await self.rows(f"SELECT CAST({table} AS text) AS row FROM {table} ORDER BY 1")
            found[table] = [row["row"] for row in rows]
        return found

    async def balance(self, account_id: str) -> tuple[int, int]:
        [row] = await self.rows(
            "SELECT available_micros, held_micros FROM balances WHERE account_id = %s AND environment = 'live'",
            account_id,
        )
        return row["available_micros"], row["held_micros"]

    async def let_time_run_out(self, hold_id: str) -> None:
        await self.rows("UPDATE holds SET expires_at = clock_timestamp() WHERE hold_id = %s", hold_id)

    async def sweep(self) -> int:
        async with open_pool(self.database_url, name="sweep", connections_max=1) as pool:
            return await expire_holds(SqlHolds(pool)).run_once()


@asynccontextmanager
async def running_billing(database_url: str, **changes: Any) -> AsyncIterator[Billing]:
    async with (
        open_billing(settings_for(database_url, **changes)) as running,
        open_channel(running.internal_address) as internal,
        open_channel(running.admin_address) as admin,
    ):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await internal.channel_ready()
        yield Billing(
            running=running,
            database_url=database_url,
            ledger=ledger_service_pb2_grpc.LedgerServiceStub(internal),
            accounts=account_service_pb2_grpc.AccountServiceStub(admin),
            key_admin=key_admin_service_pb2_grpc.KeyAdminServiceStub(admin),
            keys=key_service_pb2_grpc.KeyServiceStub(internal),
            audit=audit_service_pb2_grpc.AuditServiceStub(admin),
        )

"""The webhooks service as other services, operators and its database administrator see it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from reelgate.admin.v1.signing_secret_service_pb2 import EnsureSigningSecretRequest
from reelgate.admin.v1.signing_secret_service_pb2_grpc import SigningSecretServiceStub
from reelgate.internal.intake.v1.event_pb2 import Event
from reelgate.internal.intake.v1.intake_service_pb2 import AcceptEventsRequest
from reelgate.internal.intake.v1.intake_service_pb2_grpc import IntakeServiceStub

from services.common.rpc.client import open_channel
from services.common.rpc.enums import environment_value
from services.common.tls.files import TlsFolder
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import Role, open_webhooks
from tests.patience import PATIENCE_SECONDS


class Client:
    """The other services' and the operator's side."""

    def __init__(self, *, internal: Any, admin: Any) -> None:
        self._intake = IntakeServiceStub(internal)
        self.secrets: Any = SigningSecretServiceStub(admin)

    async def accept(self, *events: Event) -> int:
        response = await self._intake.AcceptEvents(
            AcceptEventsRequest(events=events), timeout=PATIENCE_SECONDS
        )
        return int(response.new_count)

    async def ensure_secret(self, account_id: str, environment: str = "live") -> str:
        """Returns the secret if it is new, else nothing."""
        response = await self.secrets.EnsureSigningSecret(
            EnsureSigningSecretRequest(account_id=account_id, environment=environment_value(environment)),
            timeout=PATIENCE_SECONDS,
        )
        return str(response.secret)


class Database:
    """What lies in the tables, for the eyes of a test."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        async with await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, row_factory=dict_row
        ) as connection:
            yield connection

    async def rows(self, statement: str, *parameters: object) -> list[DictRow]:
        async with self.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            return [] if cursor.rownumber is None else await cursor.fetchall()

    async def shows(self, statement: str, *parameters: object) -> None:
        """Waits until a query finds something."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self.rows(statement, *parameters):  # noqa: ASYNC110  the database rings no bell
                await asyncio.sleep(0.01)

    async def make_due(self) -> None:
        """Lets all the time pass that anything waits for."""
        await self.rows("UPDATE heads SET due_at = now()")
        await self.rows("UPDATE lanes SET next_due_at = now()")
        await self.rows("UPDATE turns SET next_due_at = now()")


@asynccontextmanager
async def open_client(settings: WebhooksSettings, *, role: Role = Role.ALL) -> AsyncIterator[Client]:
    async with (
        open_webhooks(settings, role=role) as running,
        open_client_of(str(running.internal_address), str(running.admin_address)) as client,
    ):
        yield client


@asynccontextmanager
async def open_client_of(
    internal_address: str,
    admin_address: str,
    jobs: TlsFolder | None = None,
    operator: TlsFolder | None = None,
) -> AsyncIterator[Client]:
    async with (
        open_channel(internal_address, tls=jobs, timeout_seconds=PATIENCE_SECONDS) as internal,
        open_channel(admin_address, tls=operator, timeout_seconds=PATIENCE_SECONDS) as admin,
    ):
        yield Client(internal=internal, admin=admin)


def event(job: str, sequence: int = 1, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "event_id": f"{job}-{sequence}",
        "job_id": job,
        "account_id": "acct_1",
        "environment": "live",
        "contract": "seedancee2",
        "type": "video.generation.completed",
        "sequence": sequence,
        "target_url": "https://example.com/hook",
        "body": b'{"data": {"id":"%s",\n"note":"\xc3\xa4"}}' % job.encode(),
        "occurred_at_millis": 1_770_000_000_123,
    }
    return Event(**(values | changes))

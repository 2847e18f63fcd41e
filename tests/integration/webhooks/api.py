"""The customers' side of webhooks: its public port over a database, with keys of two accounts in memory."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

import grpc
from cryptography.fernet import MultiFernet
from google.protobuf.json_format import MessageToDict, ParseDict
from reelgate.webhooks.v1 import webhook_listeners_service_pb2, webhooks_service_pb2
from reelgate.webhooks.v1.webhook_listeners_service_pb2_grpc import WebhookListenersServiceStub
from reelgate.webhooks.v1.webhooks_service_pb2_grpc import (
    WebhooksServiceStub,
)

from services.common.auth.authentication import (
    Caller,
    KeyCache,
)
from services.common.auth.key_forms import KEY_PREFIXES, older_checksum
from services.common.postgres.database import open_pool
from services.common.rate_limit.limiter import Limiter
from services.common.rpc.server import serve
from services.webhooks.settings import WebhooksSettings
from services.webhooks.store.listeners import SqlListeners
from services.webhooks.store.redeliveries import SqlRedeliveries
from services.webhooks.watch import ListenerWatch
from services.webhooks.wiring import public_port
from tests.patience import PATIENCE_SECONDS
from tests.unit.common.rate_limit.limit_world import Billing

CALLS_PER_MINUTE = 100_000
Answer = dict[str, Any]


class Refusal(Exception):  # noqa: N818 - it is an answer
    """What a refused call brings back."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        trailers: dict[str, Any] = dict(cast("Any", error.trailing_metadata()))
        self.envelope = json.loads(trailers["x-api-error-bin"])
        self.http_status = int(trailers["x-api-status"])
        super().__init__(self.envelope)

    @property
    def message(self) -> str:
        return str(self.envelope["error"]["message"])


@dataclass
class Api:
    """A running public port."""

    redeliveries: SqlRedeliveries
    watch: ListenerWatch
    stub: Any = None
    listeners_stub: Any = None
    callers: dict[bytes, Caller] = field(default_factory=dict)
    notified: list[bool] = field(default_factory=list)

    def add_key(
        self, account_id: str = "acct_1", *, contract: str = "seedancee2", environment: str = "live"
    ) -> str:
        body = KEY_PREFIXES[contract, environment] + f"{len(self.callers):032d}"
        key = body + older_checksum(body)
        self.callers[sha256(key.encode()).digest()] = Caller(
            key_id=f"key_{len(self.callers)}",
            account_id=account_id,
            environment=environment,
            contract=contract,
        )
        return key

    async def call(
        self,
        method: str,
        fields: dict[str, Any] | None = None,
        *,
        key: str | None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Calls a method and returns its answer as the edge prints it. Raises Refusal."""
        is_listening = "Listener" in method
        messages = webhook_listeners_service_pb2 if is_listening else webhooks_service_pb2
        stub = self.listeners_stub if is_listening else self.stub
        request = ParseDict(fields or {}, getattr(messages, f"{method}Request")())
        given = {"authorization": key and f"Bearer {key}", "idempotency-key": idempotency_key}
        metadata = tuple((name, value) for name, value in given.items() if value is not None)
        try:
            answer = await getattr(stub, method)(request, metadata=metadata, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Refusal(error) from error
        printed: Answer = MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return printed

    async def endpoint(self, key: str, url: str = "https://example.com/hook", **fields: Any) -> Answer:
        """Registers an endpoint."""
        made: Answer = (await self.call("CreateWebhookEndpoint", {"url": url, **fields}, key=key))["data"]
        return made


@asynccontextmanager
async def running_api(settings: WebhooksSettings) -> AsyncIterator[Api]:
    async with open_pool(settings.database_url, name="api", connections_max=8) as pool:
        watch = ListenerWatch(SqlListeners(pool, MultiFernet(settings.sealing_keys)))
        api = Api(redeliveries=SqlRedeliveries(pool), watch=watch)

        async def look_up(digest: bytes) -> Caller | None:
            return api.callers.get(digest)

        limiter = Limiter(Billing(CALLS_PER_MINUTE).lease, holder="tests")
        port = public_port(
            settings.model_copy(update={"public_address": "127.0.0.1:0", "private_targets_allowed": ()}),
            pool,
            fernet=MultiFernet(settings.sealing_keys),
            notify=lambda: api.notified.append(True),
            keys=KeyCache(look_up),
            limiter=limiter,
            watch=watch,
        )
        async with (
            limiter.running(),
            watch.running(),
            serve(port, let_go=(watch.release,)) as [address],
            grpc.aio.insecure_channel(address) as channel,
        ):
            api.stub = WebhooksServiceStub(channel)
            api.listeners_stub = WebhookListenersServiceStub(channel)
            yield api

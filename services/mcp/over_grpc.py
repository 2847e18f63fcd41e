"""Calls over gRPC, to the public ports of the services: what limits and refuses customers does so here too."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from google.protobuf.json_format import ParseError

from services.common.auth.key_forms import contract_of
from services.common.errors import ServiceError
from services.common.rpc.client import open_channel
from services.mcp.calls import CALL_SECONDS, Calls, Refused
from services.mcp.methods import GET_BALANCE, Method, as_json, as_message


@asynccontextmanager
async def open_calls(*, jobs_target: str, billing_target: str) -> AsyncIterator[Calls]:
    """Opens the way to the public ports of jobs and billing."""
    async with AsyncExitStack() as stack:
        jobs = await stack.enter_async_context(open_channel(jobs_target))
        billing = await stack.enter_async_context(open_channel(billing_target))
        yield _Calls({GET_BALANCE.service: billing}, jobs)


class _Calls:
    def __init__(self, channels: Mapping[str, grpc.aio.Channel], other: grpc.aio.Channel) -> None:
        self._channels = channels
        self._other = other
        self._stubs: dict[str, Any] = {}

    async def __call__(
        self,
        method: Method,
        fields: Mapping[str, Any],
        *,
        key: str,
        idempotency_key: str = "",
        seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        metadata = [("authorization", f"Bearer {key}")]
        if idempotency_key:
            metadata.append(("idempotency-key", idempotency_key))
        try:
            answer = await self._stub(method)(
                as_message(method, fields), timeout=seconds, metadata=metadata, wait_for_ready=True
            )
        except ParseError as error:
            raise Refused("invalid_request", str(error)) from error
        except ServiceError as error:
            raise _refused(error, contract_of(key)) from error
        return as_json(answer)

    def _stub(self, method: Method) -> Any:
        if method.path not in self._stubs:
            channel = self._channels.get(method.service, self._other)
            self._stubs[method.path] = channel.unary_unary(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
        return self._stubs[method.path]


def _refused(error: ServiceError, contract: str | None) -> Refused:
    said = json.loads(error.envelope(contract or ""))["error"]
    retry = error.metadata.get("retry_after_seconds", "")
    return Refused(said["code"], said["message"], retry_after_seconds=retry)

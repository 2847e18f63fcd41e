"""Behind the edge, something that takes every call as it comes: what the edge says to services, before any of them judges."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from typing_extensions import override


@dataclass(frozen=True)
class Seen:
    method: str
    metadata: dict[str, str | bytes]
    message: bytes


HEALTH_CHECK = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"


class Observer(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers every call with an empty message, and is healthy."""

    def __init__(self) -> None:
        self.target = ""
        self.seen: list[Seen] = []

    @override
    def service(self, handler_call_details: Any) -> Any:
        metadata = dict(handler_call_details.invocation_metadata or ())

        async def answer(message: bytes, _context: Any) -> bytes:
            if handler_call_details.method == HEALTH_CHECK:
                return SERVING
            self.seen.append(Seen(handler_call_details.method, metadata, message))
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)

    def only(self) -> Seen:
        """Returns the one call there was, and forgets it."""
        [seen] = self.seen
        self.seen.clear()
        return seen


@asynccontextmanager
async def serving_observer() -> AsyncIterator[Observer]:
    observer = Observer()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([observer])
    observer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield observer
    finally:
        await server.stop(0)

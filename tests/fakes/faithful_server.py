"""What the fake providers share that keep to their documentation: they check requests, and remember tasks."""

import json
from dataclasses import replace
from typing import Any

from aiohttp import web
from typing_extensions import override

from tests.fakes.provider_server import Fault, ProviderServer, Reply, Seen

KEY = "secret"


class RefusedRequestError(Exception):
    """What a fake answers instead."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.payload)
        self.reply = reply


class FaithfulServer(ProviderServer):
    """Answers by the rules of a provider. A scripted answer goes first, so that a test can break any rule once."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}
        """The body of each order that was accepted, by the id of its task."""
        self.tasks: dict[str, dict[str, Any]] = {}
        """What is answered about each task."""
        self.next_id = "task-1"
        self.video = b"\0\0\0\x18ftypmp42 a video"
        """What is served as the result of every task."""
        self.loses_answers = False
        """Whether orders are accepted and then not answered."""

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        order_count = len(self.orders)
        try:
            reply = self.answer(self.seen[-1])
        except RefusedRequestError as refused:
            return refused.reply
        if self.loses_answers and len(self.orders) > order_count:
            return replace(reply, fault=Fault.RESET)
        return reply

    def answer(self, seen: Seen) -> Reply:
        """Answers a request, or raises RefusedRequestError."""
        raise NotImplementedError


def json_of(seen: Seen) -> dict[str, Any]:
    """Returns the object that a request carries."""
    assert seen.headers.get("content-type") == "application/json"
    body = json.loads(seen.body)
    assert isinstance(body, dict)
    return body

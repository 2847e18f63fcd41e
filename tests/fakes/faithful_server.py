"""What the fake providers share that keep to their documentation: they check requests, and remember tasks."""

import json
from typing import Any, ClassVar

from aiohttp import web
from typing_extensions import override

from tests.fakes.provider_server import ProviderServer, Reply, Seen

KEY = "secret"


class RefusedRequestError(Exception):
    """What a fake answers instead."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.payload)
        self.reply = reply


class FaithfulServer(ProviderServer):
    """Answers by the rules of a provider. A scripted answer goes first, so that a test can break any rule once."""

    FIRST_ID: ClassVar[str]
    """Of the first task. Those of later ones are longer."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}
        """The body of each order that was accepted, by the id of its task."""
        self.tasks: dict[str, dict[str, Any]] = {}
        """What is answered about each task."""
        self.video = b"\0\0\0\x18ftypmp42 a video"
        """What is served as the result of every task."""

    @property
    @override
    def task_ids(self) -> list[str]:
        return list(self.orders)

    @property
    def latest_id(self) -> str:
        """Of the task that was started last, or will be started first."""
        return next(reversed(self.orders), self.FIRST_ID)

    def new_task(self, order: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
        """Remembers an order and its task, which has not been given an id yet. Returns the task."""
        task_id = f"{self.FIRST_ID}{len(self.orders) or ''}"
        self.orders[task_id] = order
        return self.tasks.setdefault(task_id, self.named(task_id, task))

    def named(self, task_id: str, task: dict[str, Any]) -> dict[str, Any]:
        """Returns a task with its id in it."""
        return {"id": task_id, **task}

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        try:
            return self.answer(self.seen[-1])
        except RefusedRequestError as refused:
            return refused.reply

    def answer(self, seen: Seen) -> Reply:
        """Answers a request, or raises RefusedRequestError."""
        raise NotImplementedError


def json_of(seen: Seen) -> dict[str, Any]:
    """Returns the object that a request carries."""
    assert seen.headers.get("content-type") == "application/json"
    body = json.loads(seen.body)
    assert isinstance(body, dict)
    return body

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.urls import outgoing_url
from services.simulator.scenarios import Callbacks
from services.simulator.tasks import Status, Task
from services.simulator.wire import Links, render_task

# ModelArk documentation 1520757, callback_url.
ATTEMPT_TIMEOUT: Final = ClientTimeout(total=5)
RETRIES_BY_STATUS: Final = {Status.SUCCEEDED: 3, Status.FAILED: 3}
RETRY_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Message:
    """One callback: the task as it was when it changed."""

    task: Task
    status: Status
    body: bytes


class Announcer:
    """Sends callbacks, those of one task one after another."""

    def __init__(self, session: ClientSession, links: Links, counts: Counter[str]) -> None:
        self._session = session
        self._links = links
        self._counts = counts
        self._deliveries: set[asyncio.Task[None]] = set()
        self._latest: dict[str, asyncio.Task[None]] = {}

    def announce(self, task: Task) -> None:
        """Sends the task as it is now, if it asked for callbacks."""
        behaviour = task.order.scenario.callbacks
        if task.order.callback_url is None or behaviour is Callbacks.NONE:
            return
        statuses = [task.status]
        if behaviour is Callbacks.FINAL_FIRST:
            statuses = [task.status, Status.QUEUED, Status.RUNNING] if task.status.is_final else []
        if behaviour is Callbacks.TWICE:
            statuses *= 2
        messages = [self._message(task, status) for status in statuses]
        delivery = asyncio.create_task(self._deliver(messages, after=self._latest.get(task.id)))
        self._latest[task.id] = delivery
        self._deliveries.add(delivery)
        delivery.add_done_callback(lambda done: self._forget(task.id, done))

    async def close(self) -> None:
        """Gives up what has not been delivered."""
        deliveries = list(self._deliveries)
        for delivery in deliveries:
            delivery.cancel()
        await asyncio.gather(*deliveries, return_exceptions=True)

    def _message(self, task: Task, status: Status) -> Message:
        then = task if status is task.status else task.model_copy(update={"status": status, "failure": None})
        body = json.dumps(render_task(then, self._links)).encode()
        return Message(task=task, status=status, body=body)

    async def _deliver(self, messages: list[Message], *, after: asyncio.Task[None] | None) -> None:
        if after:
            await asyncio.wait({after})
        for message in messages:
            if message.status.is_final:
                message.task.is_announced = True
            self._counts["callbacks_delivered" if await self._send(message) else "callbacks_lost"] += 1

    async def _send(self, message: Message) -> bool:
        for retries_left in range(RETRIES_BY_STATUS.get(message.status, 0), -1, -1):
            if await self._attempt(message):
                return True
            if retries_left:
                await asyncio.sleep(RETRY_PAUSE_SECONDS)
        return False

    async def _attempt(self, message: Message) -> bool:
        try:
            async with self._session.post(
                outgoing_url(str(message.task.order.callback_url)),
                data=message.body,
                headers={"Content-Type": "application/json"},
                timeout=ATTEMPT_TIMEOUT,
                allow_redirects=False,
            ) as response:
                return 200 <= response.status < 300
        except (ClientError, ForbiddenUrlError, TimeoutError, OSError, ValueError):
            return False

    def _forget(self, task_id: str, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        if self._latest.get(task_id) is delivery:
            del self._latest[task_id]

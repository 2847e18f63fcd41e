"""The adapter for ModelArk's HTTP API."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from services.common.egress.urls import has_same_origin
from services.upstream.bodies import UnusableBodyError
from services.upstream.call import ProviderCalls
from services.upstream.features import Features
from services.upstream.kind import Kind
from services.upstream.provider import (
    Done,
    Hint,
    Order,
    Pending,
    RefusalKind,
    Refused,
    UnknownError,
    UnreachableError,
)
from services.upstream.providers.ark import wire
from services.upstream.providers.ark.errors import means_unknown_task, reading_error, submission_error

LIST_INTERVAL_SECONDS = 1.0
LIST_PAGE_SIZE = 500
LIST_PAGES_MAX = 20
CREATED_MARGIN_SECONDS = 300.0
CONFLICT = 409

_TASKS_PATH = "/contents/generations/tasks"


class ArkProvider:
    """BytePlus ModelArk and Volcengine Ark (Seedance), which take no idempotency key.

    The credential goes to `base_url` only. A seed is sent if `sends_seed`, or if a route asks by its option `seed`: models
    older than 2.0 document one.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        base_url: str,
        api_key: str,
        sends_seed: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base_url = base_url
        self._tasks_url = base_url.rstrip("/") + _TASKS_PATH
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._calls = ProviderCalls(session, headers=self._headers)
        self._sends_seed = sends_seed
        self._clock = clock
        self._sleep = sleep
        self._list_turn = asyncio.Lock()
        self._list_due = clock()

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries; any doubt is an UnknownError."""
        body = wire.render_order(
            order, correlation_id=correlation_id, callback_url=callback_url, sends_seed=self._sends_seed
        )
        answer = await self._calls.submit(self._tasks_url, json=body, timeout_seconds=timeout_seconds)
        if not answer.ok:
            raise submission_error(answer, wire.parse_error(answer.body))
        try:
            return wire.parse_created(answer.body)
        except UnusableBodyError as error:
            raise UnknownError(f"submission accepted, answer unusable: {error}") from error

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """Returns the id of the task that carries the correlation id, or None if there is certainly none.

        The listing covers seven days and may be read once a second; an unfinished search is an
        UnreachableError. A new task may take a moment to appear, so ask again before you believe a first None.
        """
        oldest = created_after - CREATED_MARGIN_SECONDS
        try:
            # If searches took turns page by page, they would all run out of time together.
            async with asyncio.timeout(timeout_seconds), self._list_turn:
                return await self._search(
                    correlation_id, model=model, oldest=oldest, timeout_seconds=timeout_seconds
                )
        except TimeoutError as error:
            raise UnreachableError("search not finished in time") from error

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """Returns whether a task has the correlation id."""
        body = await self._read(task_id, timeout_seconds=timeout_seconds)
        try:
            return not isinstance(body, Refused) and wire.parse_correlation_id(body) == correlation_id
        except UnusableBodyError as error:
            raise UnreachableError(f"task unreadable: {error}") from error

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED)."""
        body = await self._read(task_id, timeout_seconds=timeout_seconds)
        if isinstance(body, Refused):
            return body
        try:
            return wire.parse_task(body)
        except UnusableBodyError as error:
            raise UnreachableError(f"task unreadable: {error}") from error

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Stops a task that is still queued, which is all that ModelArk offers. Returns whether the task has ended.

        DELETE cancels a queued task, refuses a running one, and deletes the result of one that has ended; so the
        task is read first. If it starts and ends in between, its result is deleted, and it has ended too.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                found = await self.check(task_id, timeout_seconds=timeout_seconds)
                if isinstance(found, Pending) and not found.running:
                    return await self._delete(task_id, timeout_seconds=timeout_seconds)
                return isinstance(found, Refused)
        except TimeoutError as error:
            raise UnreachableError("cancelling not finished in time") from error

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns the task that a callback names. ModelArk signs nothing, so it is never authentic."""
        return wire.parse_hint(body)

    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns nothing for a result, which has a signed address elsewhere."""
        return self._headers if has_same_origin(url, self._base_url) else {}

    async def _delete(self, task_id: str, *, timeout_seconds: float) -> bool:
        answer = await self._calls.ask(
            f"{self._tasks_url}/{task_id}", method="DELETE", timeout_seconds=timeout_seconds
        )
        if answer.ok:
            return True
        code = wire.parse_error(answer.body).code
        if answer.status == CONFLICT or code.startswith("InvalidAction"):
            # Running, or already cancelled: the code for the latter is not documented, nor that it is always a 409.
            return isinstance(await self.check(task_id, timeout_seconds=timeout_seconds), Refused)
        if means_unknown_task(answer.status, code):
            return True
        raise reading_error(answer, code)

    async def _read(self, task_id: str, *, timeout_seconds: float) -> bytes | Refused:
        answer = await self._calls.ask(f"{self._tasks_url}/{task_id}", timeout_seconds=timeout_seconds)
        if answer.ok:
            return answer.body
        code = wire.parse_error(answer.body).code
        if means_unknown_task(answer.status, code):
            return Refused(kind=RefusalKind.EXPIRED, detail=f"task unknown: {code}")
        raise reading_error(answer, code)

    async def _search(
        self, correlation_id: str, *, model: str, oldest: float, timeout_seconds: float
    ) -> str | None:
        seen: list[wire.ListedTask] = []
        for page_num in range(1, LIST_PAGES_MAX + 1):
            page = await self._list(model=model, page_num=page_num, timeout_seconds=timeout_seconds)
            for task in page.tasks:
                if task.correlation_id == correlation_id and task.created_at >= oldest:
                    return task.task_id
            seen += page.tasks
            if not page.tasks or (page.total is not None and len(seen) >= page.total):
                return None
            if _newest_first(seen) and seen[-1].created_at < oldest:
                return None
        raise UnreachableError(f"not among the first {len(seen)} listed tasks, and there are more")

    async def _list(self, *, model: str, page_num: int, timeout_seconds: float) -> wire.Page:
        await self._await_list_turn()
        query = {"page_num": str(page_num), "page_size": str(LIST_PAGE_SIZE), "filter.model": model}
        answer = await self._calls.ask(self._tasks_url, query=query, timeout_seconds=timeout_seconds)
        if not answer.ok:
            code = wire.parse_error(answer.body).code
            raise reading_error(answer, code)
        try:
            return wire.parse_page(answer.body)
        except UnusableBodyError as error:
            raise UnreachableError(f"listing unreadable: {error}") from error

    async def _await_list_turn(self) -> None:
        wait_seconds = self._list_due - self._clock()
        if wait_seconds > 0:
            await self._sleep(wait_seconds)
        self._list_due = self._clock() + LIST_INTERVAL_SECONDS


def _newest_first(tasks: list[wire.ListedTask]) -> bool:
    # The order of the listing is not documented, so it is trusted only if the rows seen so far are in order.
    times = [task.created_at for task in tasks]
    return times[0] > times[-1] and times == sorted(times, reverse=True)


KIND = Kind(
    name="ark",
    base_url="https://ark.ap-southeast.bytepluses.com/api/v3",
    open=ArkProvider,
    features=Features(
        resolutions=frozenset({"480p", "720p", "1080p", "4k"}),
        seconds=frozenset(range(2, 31)),
        aspect_ratios=frozenset({"16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"}),
        image_references=30,
        video_references=10,
        audio_references=10,
        start_frame=True,
        end_frame=True,
        audio=frozenset({False, True}),
        watermark=frozenset({False, True}),
        seed=True,
    ),
    options={
        "seed": frozenset({"true"}),
        "service_tier": frozenset({"default", "flex"}),
        "draft": frozenset({"false", "true"}),
    },
    callbacks=True,
)

import json
import secrets
import socket
import string
import struct
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from services.simulator.answers import API_PATH
from services.simulator.engine import Engine
from services.simulator.errors import ApiError, internal_error, invalid
from services.simulator.orders import MODELS, SEED_LIMIT, SEED_RANDOM, SERVICE_TIER, Order, parse_order
from services.simulator.scenarios import Create, Poll, create_error
from services.simulator.tasks import Status, Task, Tasks
from services.simulator.turns import STORING, Turns
from services.simulator.wire import Links, render_task

TASKS_PATH: Final = f"{API_PATH}/contents/generations/tasks"
PAGE_RANGE: Final = range(1, 501)
PAGE_SIZE_DEFAULT: Final = 20
GARBAGE: Final = "<html><body>upstream connect error</body></html>"
STRANGE_STATUS: Final = "postprocessing"
ID_ALPHABET: Final = string.ascii_lowercase + string.digits


class TasksApi:
    """Create, get, list and delete, as ModelArk answers them (documentation 1520757 and following)."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        engine: Engine,
        links: Links,
        counts: Counter[str],
        clock: Callable[[], float],
        creates_per_minute_max: int,
    ) -> None:
        self._tasks = tasks
        self._engine = engine
        self._links = links
        self._counts = counts
        self._clock = clock
        self._turns = Turns()
        self._creates_per_minute_max = creates_per_minute_max
        self._create_times: deque[float] = deque()

    def routes(self) -> list[web.RouteDef]:
        """What the server must route here."""
        return [
            web.post(TASKS_PATH, self._create),
            web.get(TASKS_PATH, self._list, allow_head=False),
            web.get(f"{TASKS_PATH}/{{id}}", self._get, allow_head=False),
            web.delete(f"{TASKS_PATH}/{{id}}", self._delete),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self._counts["creates"] += 1
        self._limit_creates()
        order = parse_order(await _json_body(request))
        create = order.scenario.create if self._turns.misbehaves(order) else Create.FLAWLESS
        error = create_error(create)
        if error and create not in STORING:
            raise error
        task = self._store(order)
        if error:
            raise error
        if create is Create.LOSES_ANSWER:
            _reset(request)
        if create is Create.GARBLED:
            return web.Response(text=GARBAGE, content_type="text/html")
        return web.json_response({"id": task.id})

    async def _get(self, request: web.Request) -> web.Response:
        self._counts["gets"] += 1
        task = self._find(request)
        task.poll_count += 1
        is_early = task.poll_count <= task.order.directive_number
        shown = render_task(task, self._links)
        match task.order.scenario.poll:
            case Poll.FAILS_UNTIL_CALLBACK if task.order.callback_url and not task.is_announced:
                raise internal_error()
            case Poll.FAILS if is_early:
                raise internal_error()
            case Poll.GARBLED if is_early:
                return web.Response(text=GARBAGE, content_type="text/html")
            case Poll.STRANGE_STATUS if is_early:
                shown["status"] = STRANGE_STATUS
            case _:
                pass
        return web.json_response(shown)

    async def _list(self, request: web.Request) -> web.Response:
        self._counts["lists"] += 1
        page, size = _whole(request, "page_num", 1), _whole(request, "page_size", PAGE_SIZE_DEFAULT)
        status = _choice(request, "filter.status", [status.value for status in Status])
        model = _choice(request, "filter.model", list(MODELS))
        _choice(request, "filter.service_tier", [SERVICE_TIER])
        ids = set(request.query.getall("filter.task_ids", []))
        found = [
            task
            for task in self._tasks.newest_first()
            if status in {None, task.status}
            and model in {None, task.order.model}
            and (not ids or task.id in ids)
        ]
        shown = found[(page - 1) * size : page * size]
        items = [render_task(task, self._links) for task in shown]
        return web.json_response({"items": items, "total": len(found)})

    async def _delete(self, request: web.Request) -> web.Response:
        self._counts["deletes"] += 1
        task = self._find(request)
        if task.status in {Status.RUNNING, Status.CANCELLED}:
            code = "InvalidAction.RunningTaskDeletion"
            if task.status is Status.CANCELLED:
                code = "InvalidAction.CancelledTaskDeletion"
            message = f"Cannot delete task `{task.id}` because it is currently {task.status.value}."
            raise ApiError(409, code, message)
        if task.status is Status.QUEUED:
            self._tasks.move(task, Status.CANCELLED)
        else:
            self._tasks.remove(task.id)
        return web.json_response({})

    def _store(self, order: Order) -> Task:
        if order.seed == SEED_RANDOM:
            order = order.model_copy(update={"seed": secrets.randbelow(SEED_LIMIT)})
        now = self._clock()
        task = Task(id=self._new_id(now), order=order, created_at=now, updated_at=now)
        self._tasks.add(task)
        self._engine.start(task)
        return task

    def _new_id(self, now: float) -> str:
        moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
        while True:
            task_id = f"cgt-{moment}-{''.join(secrets.choice(ID_ALPHABET) for _ in range(5))}"
            if task_id not in self._tasks:
                return task_id

    def _find(self, request: web.Request) -> Task:
        task_id = request.match_info["id"]
        task = self._tasks.get(task_id)
        if task is None:
            raise ApiError(404, "NotFound.Task", f"The specified task {task_id} is not found.")
        return task

    def _limit_creates(self) -> None:
        if not self._creates_per_minute_max:
            return
        now = self._clock()
        while self._create_times and self._create_times[0] <= now - 60:
            self._create_times.popleft()
        if len(self._create_times) >= self._creates_per_minute_max:
            error = create_error(Create.LIMITED)
            assert error
            raise error
        self._create_times.append(now)


def _reset(request: web.Request) -> None:
    """Ends the connection so that the caller sees a reset instead of an answer."""
    transport = request.transport
    assert transport
    at_once = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    transport.abort()


async def _json_body(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise invalid("", "the request body is not valid JSON.") from error


def _whole(request: web.Request, name: str, default: int) -> int:
    value = request.query.get(name, str(default))
    if not value.isdecimal() or len(value) > 3 or int(value) not in PAGE_RANGE:
        raise invalid(name, f"the parameter {name} must be a whole number from 1 to {PAGE_RANGE.stop - 1}.")
    return int(value)


def _choice(request: web.Request, name: str, allowed: list[str]) -> str | None:
    value = request.query.get(name)
    if value is not None and value not in allowed:
        raise invalid(name, f"the parameter {name} must be one of {', '.join(allowed)}.")
    return value

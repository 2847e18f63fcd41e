import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from services.simulator.announcer import Announcer
from services.simulator.references import BadImageError
from services.simulator.scenarios import FAILURES, Callbacks, Ending
from services.simulator.settings import Mode, SimulatorSettings
from services.simulator.studio import Studio
from services.simulator.tasks import Failure, Status, Task, Tasks

log = logging.getLogger(__name__)


class Engine:
    """Walks every task from queued to its end."""

    def __init__(
        self,
        settings: SimulatorSettings,
        *,
        tasks: Tasks,
        studio: Studio,
        announcer: Announcer,
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._studio = studio
        self._announcer = announcer
        self._clock = clock
        self._is_instant = settings.mode is Mode.INSTANT
        self._latency_seconds = settings.latency_seconds if self._is_instant else 0
        self._slots: AbstractAsyncContextManager[object] = (
            nullcontext() if self._is_instant else asyncio.Semaphore(settings.running_tasks_max)
        )
        self._runs: set[asyncio.Task[None]] = set()

    def start(self, task: Task) -> None:
        """Lets a queued task run as soon as there is room."""
        self._announce(task)
        run = asyncio.create_task(self._run(task))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    async def close(self) -> None:
        """Leaves every unfinished task as it is stored."""
        runs = list(self._runs)
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    async def _run(self, task: Task) -> None:
        if task.order.scenario.held:
            await asyncio.sleep(task.order.directive_number)
        async with self._slots:
            if task.status is not Status.QUEUED:
                return
            if self._clock() - task.created_at > task.order.expires_after_seconds:
                self._move(task, Status.EXPIRED)
                return
            self._move(task, Status.RUNNING)
            try:
                await self._play(task)
            except BadImageError as error:
                self._fail(task, error.code, str(error))
            except Exception:
                log.exception("task %s could not be rendered", task.id)
                self._fail(task, *FAILURES[Ending.BREAKS])

    async def _play(self, task: Task) -> None:
        scenario = task.order.scenario
        delay_seconds = task.order.directive_number if scenario.delayed else 0
        await asyncio.sleep(self._latency_seconds + delay_seconds)
        if scenario.ending is Ending.EXPIRES:
            self._move(task, Status.EXPIRED)
        elif scenario.ending in FAILURES:
            self._fail(task, *FAILURES[scenario.ending])
        else:
            make = self._studio.ready_clip(task.order) if self._is_instant else self._studio.render(task)
            task.outcome = await make
            self._move(task, Status.SUCCEEDED)

    def _fail(self, task: Task, code: str, message: str) -> None:
        task.failure = Failure(code=code, message=f"{message} Request id: {task.id}")
        self._move(task, Status.FAILED)

    def _move(self, task: Task, status: Status) -> None:
        self._tasks.move(task, status)
        self._announce(task)

    def _announce(self, task: Task) -> None:
        # Under load only the end is news, unless the prompt is about callbacks.
        is_about_callbacks = task.order.scenario.callbacks is not Callbacks.FLAWLESS
        if task.status.is_final or not self._is_instant or is_about_callbacks:
            self._announcer.announce(task)

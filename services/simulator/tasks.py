import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from services.simulator.errors import ApiError
from services.simulator.orders import Order

VISIBLE_SECONDS: Final = 7 * 86_400
CANCELLED_VISIBLE_SECONDS: Final = 86_400

log = logging.getLogger(__name__)


class Status(StrEnum):
    """Where a task is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether it is final."""
        return self not in {Status.QUEUED, Status.RUNNING}


class Failure(BaseModel):
    """Why a task failed."""

    code: str
    message: str


class Outcome(BaseModel):
    """What a succeeded task produced."""

    ratio: str
    width: int
    height: int
    duration_seconds: int
    stem: str
    """Path of the video in the simulator's folder, without its suffix."""


class Task(BaseModel):
    """One task; times are Unix seconds."""

    id: str
    order: Order
    status: Status = Status.QUEUED
    created_at: float
    updated_at: float
    failure: Failure | None = None
    outcome: Outcome | None = None
    poll_count: int = Field(default=0, exclude=True)
    download_counts: Counter[str] = Field(default_factory=Counter, exclude=True)
    is_announced: bool = Field(default=False, exclude=True)


class Tasks:
    """All tasks, in memory and in a small database, so that a killed simulator loses none."""

    def __init__(self, folder: Path, *, count_max: int, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._count_max = count_max
        self._clock = clock
        self._all: dict[str, Task] = {}
        self._finished: dict[str, None] = {}
        self._database = sqlite3.connect(folder / "tasks.db", isolation_level=None)
        # What a killed process has written survives without waiting for the disk; two simulators on one
        # folder would start the same tasks twice.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, record TEXT NOT NULL)")

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def load(self) -> list[Task]:
        """Reads what an earlier run has left. Returns the unfinished tasks, oldest first, queued again."""
        found = []
        for task_id, record in self._database.execute("SELECT id, record FROM tasks"):
            try:
                found.append(Task.model_validate_json(record))
            except ValidationError:
                log.warning("task %s was written by another version and is left alone", task_id)
        for task in sorted(found, key=lambda task: (task.updated_at, task.id)):
            self._all[task.id] = task
            if task.status.is_final:
                self._finished[task.id] = None
                task.is_announced = True
            else:
                task.status = Status.QUEUED
        unfinished = [task for task in self._all.values() if not task.status.is_final]
        return sorted(unfinished, key=lambda task: (task.created_at, task.id))

    def add(self, task: Task) -> None:
        """Stores a new task. The oldest finished one makes room; ApiError 429 if none is finished."""
        if len(self._all) >= self._count_max:
            if not self._finished:
                raise ApiError(429, "QuotaExceeded", "Too many tasks are queued.")
            self.remove(next(iter(self._finished)))
        self._all[task.id] = task
        self._write(task)

    def move(self, task: Task, status: Status) -> None:
        """Stores the new status; a finished task drops its media addresses, which may hold whole files."""
        task.status, task.updated_at = status, self._clock()
        if status.is_final:
            self._finished[task.id] = None
            task.order = task.order.model_copy(update={"media": ()})
        self._write(task)

    def remove(self, task_id: str) -> None:
        """Forgets a task and deletes what was rendered for it alone."""
        task = self._all.pop(task_id)
        self._finished.pop(task_id, None)
        self._database.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        if task.outcome and Path(task.outcome.stem).name == task_id:
            for suffix in (".mp4", ".png"):
                (self._folder / f"{task.outcome.stem}{suffix}").unlink(missing_ok=True)

    def get(self, task_id: str) -> Task | None:
        """The task, unless unknown or no longer visible."""
        task = self._all.get(task_id)
        return task if task and self._is_visible(task) else None

    def newest_first(self) -> Iterator[Task]:
        """Every visible task."""
        oldest_first = sorted(self._all.values(), key=lambda task: task.created_at)
        return filter(self._is_visible, reversed(oldest_first))

    def count_by_status(self) -> dict[str, int]:
        """How many tasks there are, visible or not."""
        return Counter(task.status.value for task in self._all.values())

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._all

    def _is_visible(self, task: Task) -> bool:
        if task.status is Status.CANCELLED and self._clock() - task.updated_at > CANCELLED_VISIBLE_SECONDS:
            return False
        return self._clock() - task.created_at <= VISIBLE_SECONDS

    def _write(self, task: Task) -> None:
        record = task.model_dump_json()
        self._database.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?)", (task.id, record))

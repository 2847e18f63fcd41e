import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from aiohttp import ClientSession

from services.simulator.content import Medium, Role
from services.simulator.orders import ADAPTIVE, Order
from services.simulator.references import fetch_images
from services.simulator.sizes import RATE_FACTOR, RATIO_WITHOUT_IMAGES
from services.simulator.tasks import Outcome, Task

IMAGE_ROLES: Final = (Role.FIRST_FRAME, Role.LAST_FRAME, Role.REFERENCE_IMAGE)
# Under load every receiver pays for the size of the ready clip.
READY_RATE_FACTOR: Final = 36
READY_PROMPT: Final = "One ready clip for every task: the simulator runs in instant mode."


class Studio:
    """Makes videos in worker threads: FFmpeg and numpy leave the interpreter free while they work."""

    def __init__(self, folder: Path, *, session: ClientSession, workers: int) -> None:
        self._folder = folder
        self._session = session
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="render")
        self._stopping = threading.Event()
        self._ready: dict[str, asyncio.Future[Outcome]] = {}
        for name in ("rendered", "ready"):
            (folder / name).mkdir(exist_ok=True)

    async def close(self) -> None:
        """Gives up what is being rendered and waits for the threads to end."""
        self._stopping.set()
        for future in self._ready.values():
            future.cancel()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def render(self, task: Task) -> Outcome:
        """Renders what the task asks for. Raises BadImageError when one of its pictures cannot be had."""
        images = [medium for medium in task.order.media if medium.role in IMAGE_ROLES]
        files = await fetch_images(self._session, images)
        fetched = list(zip(images, files, strict=True))
        return await self._start(task.order, f"rendered/{task.id}", fetched, RATE_FACTOR)

    async def ready_clip(self, order: Order) -> Outcome:
        """A clip of the shape, length, sound and mark asked for, rendered once for all tasks."""
        ratio = RATIO_WITHOUT_IMAGES if order.ratio == ADAPTIVE else order.ratio
        sound, mark = "_audio" * order.generate_audio, "_watermark" * order.watermark
        name = f"{order.resolution}_{ratio.replace(':', 'x')}_{order.video_seconds}s{sound}{mark}"
        if name not in self._ready:
            same = {"prompt": READY_PROMPT, "seed": 0, "ratio": ratio, "return_last_frame": True}
            self._ready[name] = self._start(
                order.model_copy(update=same), f"ready/{name}", (), READY_RATE_FACTOR
            )
        # A task that is given up must not take the clip of the others with it.
        return await asyncio.shield(self._ready[name])

    def _start(
        self, order: Order, stem: str, files: Sequence[tuple[Medium, bytes]], rate_factor: int
    ) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._pool, self._make, order, stem, files, rate_factor)

    def _make(
        self, order: Order, stem: str, files: Sequence[tuple[Medium, bytes]], rate_factor: int
    ) -> Outcome:
        from services.simulator.making import make

        cancelled = self._stopping.is_set
        return make(order, self._folder / stem, files, rate_factor=rate_factor, cancelled=cancelled)

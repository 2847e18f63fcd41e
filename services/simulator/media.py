import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from services.simulator.scenarios import Media
from services.simulator.tasks import Status, Task, Tasks
from services.simulator.wire import LAST_FRAME_NAME, MEDIA_LIFETIME_SECONDS, VIDEO_NAME, Links

# ModelArk documentation 1521309.
DOWNLOADS_MAX: Final = 100
PAGE: Final = b"<!doctype html><title>Service unavailable</title><h1>Service unavailable</h1>"
FILE_TYPE_BYTES: Final = 32


class MediaHost:
    """Serves rendered files to callers with a signed address, as the provider's storage does."""

    def __init__(
        self, folder: Path, *, tasks: Tasks, links: Links, counts: Counter[str], clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._tasks = tasks
        self._links = links
        self._counts = counts
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What the server must route here."""
        return [
            web.get(f"/media/{{id}}/{{name:{VIDEO_NAME}}}", self._video),
            web.get(f"/media/{{id}}/{{name:{LAST_FRAME_NAME}}}", self._last_frame),
        ]

    async def _video(self, request: web.Request) -> web.StreamResponse:
        task = self._admit(request)
        file = self._file(task, ".mp4")
        damage = DAMAGE.get(task.order.scenario.media)
        if damage is None:
            return web.FileResponse(file)
        content = damage(await asyncio.to_thread(file.read_bytes))
        content_type = "text/html" if content == PAGE else "video/mp4"
        return web.Response(body=content, content_type=content_type)

    async def _last_frame(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self._file(self._admit(request), ".png"))

    def _file(self, task: Task, suffix: str) -> Path:
        assert task.outcome
        return self._folder / f"{task.outcome.stem}{suffix}"

    def _admit(self, request: web.Request) -> Task:
        """Counts the download. Raises 404 or 403 as the storage would."""
        self._counts["media"] += 1
        # A key is not refused here, but callers must never send one: tests read this count.
        self._counts["media_with_authorization"] += "Authorization" in request.headers
        task = self._tasks.get(request.match_info["id"])
        if task is None or task.status is not Status.SUCCEEDED:
            raise web.HTTPNotFound
        signed_at = request.query.get("X-Tos-Date", "")
        signature = self._links.signature(request.path, signed_at)
        if not hmac.compare_digest(signature.encode(), request.query.get("X-Tos-Signature", "").encode()):
            raise web.HTTPForbidden(text="SignatureDoesNotMatch")
        if self._clock() > int(signed_at) + MEDIA_LIFETIME_SECONDS:
            raise web.HTTPForbidden(text="RequestExpired")
        name = request.match_info["name"]
        if task.download_counts[name] >= DOWNLOADS_MAX:
            raise web.HTTPForbidden(text="DownloadLimitExceeded")
        task.download_counts[name] += request.method == "GET"
        return task


def _without_index(file: bytes) -> bytes:
    index_end = file.index(b"mdat") - 4
    return file[:FILE_TYPE_BYTES] + bytes(index_end - FILE_TYPE_BYTES) + file[index_end:]


DAMAGE: Final[Mapping[Media, Callable[[bytes], bytes]]] = {
    Media.PAGE: lambda _: PAGE,
    Media.TRUNCATED: lambda file: file[: len(file) // 2],
    Media.CORRUPT: _without_index,
}

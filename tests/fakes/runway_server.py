"""Runway's API, as strict as its reference."""

import json
import re
from typing import Any

from aiohttp import web
from typing_extensions import override

from services.upstream.providers.runway.wire import PIXELS
from tests.fakes.provider_server import ProviderServer, Reply

KEY = "secret-key"
VERSION = "2024-11-06"
CREATED_AT = "2026-08-01T10:00:00.000Z"
_MODELS = {
    "seedance2": {"480p", "720p", "1080p", "4k"},
    "seedance2_fast": {"480p", "720p"},
    "seedance2_mini": {"480p", "720p"},
}
_COMMON = {"model": str, "promptText": str, "ratio": str, "duration": int, "audio": bool}
_FIELDS = {
    "/v1/text_to_video": {**_COMMON, "references": list, "referenceVideos": list, "referenceAudio": list},
    "/v1/image_to_video": {**_COMMON, "promptImage": list},
}
_TASK = re.compile(r"/v1/tasks/([0-9a-f-]{36})")


class RunwayServer(ProviderServer):
    """Tasks stay pending until `run` and `finish`."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, dict[str, Any]] = {}
        self._read_count = 0

    @property
    @override
    def task_ids(self) -> list[str]:
        return list(self._tasks)

    @override
    def run(self, task_id: str) -> None:
        self._tasks[task_id] |= {"status": "RUNNING", "progress": 0.42}

    @override
    def finish(self, task_id: str) -> None:
        self._tasks[task_id]["status"] = "SUCCEEDED"

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return failed(401, "Unauthorized")
        if request.headers.get("X-Runway-Version") != VERSION:
            return failed(400, "The X-Runway-Version header is required")
        if request.method == "POST" and request.path in _FIELDS:
            return self._create(json.loads(body), _FIELDS[request.path])
        found = _TASK.fullmatch(request.path)
        task_id = found[1] if found else ""
        if task_id not in self._tasks:
            return failed(404, "Not found")
        if request.method == "DELETE":
            return self._delete(task_id)
        return Reply(body=self._task(task_id))

    def _create(self, order: dict[str, Any], fields: dict[str, type]) -> Reply:
        if fault := _fault_of(order, fields):
            return failed(400, fault)
        task_id = f"17f20503-6c24-4c16-946b-{len(self._tasks):012}"
        self._tasks[task_id] = {"id": task_id, "status": "PENDING", "createdAt": CREATED_AT}
        return Reply(body={"id": task_id})

    def _task(self, task_id: str) -> dict[str, Any]:
        task = self._tasks[task_id]
        if task["status"] != "SUCCEEDED":
            return task
        self._read_count += 1
        return task | {"output": [f"https://results.runway.example/{task_id}.mp4?_jwt={self._read_count}"]}

    def _delete(self, task_id: str) -> Reply:
        task = self._tasks[task_id]
        if task["status"] in {"PENDING", "THROTTLED", "RUNNING"}:
            task["status"] = "CANCELLED"
        else:
            del self._tasks[task_id]
        return Reply(status=204)


def failed(status: int, words: str) -> Reply:
    """Returns an error envelope."""
    return Reply(status=status, body={"error": words})


def _fault_of(order: dict[str, Any], fields: dict[str, type]) -> str | None:
    odd = [name for name, value in order.items() if type(value) is not fields.get(name)]
    if odd or not _COMMON.keys() <= order.keys():
        return f"unknown, missing or mistyped: {odd or sorted(_COMMON.keys() - order.keys())}"
    ratios = {ratio for each in _MODELS.get(order["model"], ()) for ratio in PIXELS[each].values()}
    if order["ratio"] not in ratios:
        return "Invalid enum value: ratio"
    if not 4 <= order["duration"] <= 15 or not 1 <= len(order["promptText"]) <= 3500:
        return "Out of range"
    return None if _is_media(order) else "Invalid media"


def _is_media(order: dict[str, Any]) -> bool:
    if "promptImage" in order:
        positions = [image["position"] for image in order["promptImage"]]
        return positions in (["first"], ["first", "last"])
    return (
        all(set(each) == {"uri"} for each in order.get("references", ()))
        and all(each["type"] == "video" for each in order.get("referenceVideos", ()))
        and all(each["type"] == "audio" for each in order.get("referenceAudio", ()))
        and len(order.get("references", ())) <= 9
        and len(order.get("referenceVideos", ())) <= 3
        and len(order.get("referenceAudio", ())) <= 3
    )

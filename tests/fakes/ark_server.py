"""A ModelArk that is strict about orders, and lets a test decide what becomes of tasks."""

import json
from typing import Any

from aiohttp import web
from typing_extensions import override

from tests.fakes.provider_server import ProviderServer, Reply

KEY = "secret-key"
CREATED_AT = 1772352000
_RESOLUTIONS = {"480p", "720p", "1080p", "4k"}
_RATIOS = {"16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"}
_FRAMES = ("first_frame", "last_frame")
_REFERENCES = {"image_url": 30, "video_url": 10, "audio_url": 10}
_BOOLEANS = ("generate_audio", "watermark", "return_last_frame")


class ArkServer(ProviderServer):
    """Serves `/api/v3`. Tasks stay queued until `run` and `finish`."""

    PATH = "/api/v3"
    TASKS = f"{PATH}/contents/generations/tasks"

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, dict[str, Any]] = {}
        self.created_at = CREATED_AT
        """Of every task."""

    @property
    @override
    def task_ids(self) -> list[str]:
        return list(self._tasks)

    @override
    def run(self, task_id: str) -> None:
        self._tasks[task_id]["status"] = "running"

    @override
    def finish(self, task_id: str) -> None:
        task = self._tasks[task_id]
        links = {"video_url": "https://results.example/clip.mp4?X-Tos-Expires=86400"}
        if task["return_last_frame"]:
            links["last_frame_url"] = "https://results.example/clip.png?X-Tos-Expires=86400"
        task |= {"status": "succeeded", "content": links, "updated_at": self.created_at + 90}

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return failed(401, "AuthenticationError")
        if request.path == self.TASKS:
            return self._create(json.loads(body)) if request.method == "POST" else self._list()
        task = self._tasks.get(request.path.removeprefix(f"{self.TASKS}/"))
        if task is None:
            return failed(404, "NotFound.Task")
        return Reply(body=task) if request.method == "GET" else _deleted(task)

    def _list(self) -> Reply:
        return Reply(body={"items": list(self._tasks.values()), "total": len(self._tasks)})

    def _create(self, order: dict[str, Any]) -> Reply:
        if fault := _fault_of(order):
            return failed(400, fault)
        task_id = f"cgt-20260301080000-{len(self._tasks):05}"
        self._tasks[task_id] = {
            "id": task_id,
            "model": order["model"],
            "status": "queued",
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "safety_identifier": order["safety_identifier"],
            "return_last_frame": order["return_last_frame"],
        }
        return Reply(body={"id": task_id})


def _deleted(task: dict[str, Any]) -> Reply:
    if task["status"] != "queued":
        return failed(409, "InvalidAction.RunningTaskDeletion")
    task["status"] = "cancelled"
    return Reply(body={})


def failed(status: int, code: str) -> Reply:
    """Returns an error envelope."""
    error = {"code": code, "message": "Words. Request id: 0217", "param": "", "type": "Some"}
    return Reply(status=status, body={"error": error})


def _fault_of(order: dict[str, Any]) -> str | None:
    is_whole = (
        order["resolution"] in _RESOLUTIONS
        and order["ratio"] in _RATIOS
        and type(order["duration"]) is int
        and all(type(order[name]) is bool for name in _BOOLEANS)
        and len(order["safety_identifier"]) <= 64
        and order.get("service_tier", "default") in {"default", "flex"}
        and type(order.get("draft", False)) is bool
    )
    return None if is_whole and _is_content(order["content"]) else "InvalidParameter"


def _is_content(content: list[dict[str, Any]]) -> bool:
    text, *media = content
    if text["type"] != "text" or not all(set(item[item["type"]]) == {"url"} for item in media):
        return False
    roles = [item["role"] for item in media]
    if roles == list(_FRAMES[: len(roles)]):
        return True
    counts = {kind: sum(item["type"] == kind for item in media) for kind in _REFERENCES}
    return (
        all(item["role"] == f"reference_{item['type'].removesuffix('_url')}" for item in media)
        and all(counts[kind] <= most for kind, most in _REFERENCES.items())
        and sum(counts.values()) > counts["audio_url"]
    )

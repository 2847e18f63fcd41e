"""MiniMax's API, as strict as its reference."""

import json
from typing import Any

from aiohttp import web
from typing_extensions import override

from tests.fakes.provider_server import ProviderServer, Reply

KEY = "secret-key"
_CREATE = "/v2/video_generation"
_QUERY = "/v2/query/video_generation"
_TYPES = {
    "model": str,
    "content": list,
    "resolution": str,
    "duration": int,
    "ratio": str,
    "aigc_watermark": bool,
}
_RATIOS = {"adaptive", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"}
_REFERENCES = {"reference_image": 9, "reference_video": 3, "reference_audio": 3}


class MinimaxServer(ProviderServer):
    """Tasks stay queued until `run` and `finish`."""

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
        self._tasks[task_id]["status"] = "running"

    @override
    def finish(self, task_id: str) -> None:
        self._tasks[task_id]["status"] = "succeeded"

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return failed(401, "authorized_error", "login fail (1004)")
        if (request.method, request.path) == ("POST", _CREATE):
            return self._create(json.loads(body))
        folder, _, task_id = request.path.rpartition("/")
        if task_id not in self._tasks:
            return failed(404, "not_found_error", "task not found")
        if (request.method, folder) == ("GET", _QUERY):
            return Reply(body={"task": self._task(task_id)})
        if (request.method, folder) == ("DELETE", _CREATE):
            return self._delete(task_id)
        return Reply(status=404, body=b"404 page not found")

    def _create(self, order: dict[str, Any]) -> Reply:
        if fault := _fault_of(order):
            return failed(400, "bad_request_error", f"invalid params, {fault} (2013)")
        task_id = str(424010985738629 + len(self._tasks))
        self._tasks[task_id] = {
            "id": task_id,
            "model": order["model"],
            "status": "queued",
            "task_type": "generation",
            "modality": "video",
        }
        return Reply(body={"task_id": task_id})

    def _task(self, task_id: str) -> dict[str, Any]:
        task = self._tasks[task_id]
        if task["status"] != "succeeded":
            return task
        self._read_count += 1
        return task | {
            "content": {"url": f"https://results.minimax.example/{task_id}.mp4?n={self._read_count}"}
        }

    def _delete(self, task_id: str) -> Reply:
        match self._tasks[task_id]["status"]:
            case "running":
                return failed(400, "bad_request_error", "the task is running (2013)")
            case "queued":
                self._tasks[task_id]["status"] = "cancelled"
            case _:
                del self._tasks[task_id]
        return Reply(body={})


def failed(status: int, kind: str, words: str, **headers: str) -> Reply:
    """Returns an error envelope."""
    error = {"type": kind, "message": words, "http_code": str(status)}
    body = {"type": "error", "error": error, "request_id": "0655b1"}
    return Reply(status=status, body=body, headers=headers)


def _fault_of(order: dict[str, Any]) -> str | None:
    odd = [name for name, value in order.items() if type(value) is not _TYPES.get(name)]
    if odd or not _TYPES.keys() - {"ratio"} <= order.keys():
        return f"unknown, missing or mistyped: {odd}"
    if order["model"] != "MiniMax-H3" or order["resolution"] not in {"2K", "768P"}:
        return "model or resolution"
    text, *media = order["content"]
    if set(text) != {"type", "text"} or not 1 <= len(text["text"]) <= 7000:
        return "text"
    if order.get("ratio", "16:9") not in _RATIOS or (not media and order.get("ratio") == "adaptive"):
        return "ratio"
    if not 4 <= order["duration"] <= 15:
        return "duration"
    return None if _is_media(media) else "content"


def _is_media(media: list[dict[str, Any]]) -> bool:
    if not all(set(item[item["type"]]) == {"url"} for item in media):
        return False
    roles = [item["role"] for item in media]
    if roles in (["first_frame"], ["first_frame", "last_frame"]):
        return True
    counts = {role: roles.count(role) for role in _REFERENCES}
    return (
        sum(counts.values()) == len(roles)
        and all(counts[role] <= most for role, most in _REFERENCES.items())
        and (not counts["reference_audio"] or len(roles) > counts["reference_audio"])
    )

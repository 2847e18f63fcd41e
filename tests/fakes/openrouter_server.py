"""OpenRouter's video API, as strict as its guide."""

import hmac
import re
from typing import Any

from typing_extensions import override

from tests.fakes.faithful_server import KEY, FaithfulServer, RefusedRequestError, json_of
from tests.fakes.provider_server import Reply, Seen

MODELS = {"bytedance/seedance-2.0", "bytedance/seedance-2.0-fast"}
FIELDS = {
    "model", "prompt", "duration", "resolution", "aspect_ratio", "size", "generate_audio", "seed", "frame_images",
    "input_references", "callback_url", "provider",
}  # fmt: skip
VALUES = {
    "resolution": {"480p", "720p", "1080p", "1K", "2K", "4K"},
    "aspect_ratio": {"16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "9:21"},
}
TYPES = {
    "prompt": str,
    "duration": int,
    "seed": int,
    "generate_audio": bool,
    "frame_images": list,
    "input_references": list,
}
SECRET = "a secret of the workspace"
_ONE = re.compile(r"/api/v1/videos/(?P<id>[^/]+)(?P<content>/content)?")


class OpenRouterServer(FaithfulServer):
    """Serves `/api/v1`."""

    FIRST_ID = "abc123"
    PATH = "/api/v1"

    def __init__(self) -> None:
        super().__init__()
        self.sends_results_to: str | None = None
        """Where the content endpoint redirects to."""

    def will_be(self, status: str, *, task_id: str | None = None, **members: Any) -> None:
        """Makes a task, or the latest, be in a status."""
        name = task_id or self.latest_id
        task = self.named(name, {"status": status})
        if status == "completed":
            task["unsigned_urls"] = [f"{self.base_url}/videos/{name}/content?index=0"]
            task["usage"] = {"cost": 0.25, "is_byok": False}
        self.tasks[name] = task | members

    @override
    def run(self, task_id: str) -> None:
        self.will_be("in_progress", task_id=task_id)

    @override
    def finish(self, task_id: str) -> None:
        self.will_be("completed", task_id=task_id)

    @override
    def named(self, task_id: str, task: dict[str, Any]) -> dict[str, Any]:
        # The address to poll is one that would tell a stranger our credential.
        polling_url = f"https://openrouter.example/api/v1/videos/{task_id}"
        return {"id": task_id, "generation_id": "gen-1", "polling_url": polling_url, **task}

    @override
    def answer(self, seen: Seen) -> Reply:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            raise refused(401, "No auth credentials found")
        if (seen.method, seen.path) == ("POST", "/api/v1/videos"):
            return self._created(json_of(seen))
        found = _ONE.fullmatch(seen.path)
        task = self.tasks.get(found["id"]) if found else None
        if found is None or task is None or seen.method != "GET":
            raise refused(404, "Job not found")
        if found["content"]:
            return self._content(task)
        return Reply(body=task)

    def _created(self, body: dict[str, Any]) -> Reply:
        _check(body)
        task = self.new_task(body, {"status": "pending"})
        return Reply(status=202, body={name: task[name] for name in ("id", "polling_url", "status")})

    def _content(self, task: dict[str, Any]) -> Reply:
        if task["status"] != "completed":
            raise refused(400, "Job has not completed")
        if self.sends_results_to is not None:
            return Reply(status=302, headers={"Location": self.sends_results_to})
        return Reply(body=self.video, headers={"Content-Type": "video/mp4"})


def signed(body: bytes, *, at: float, secret: str = SECRET, joint: str = ",") -> dict[str, str]:
    """Returns the headers of a callback of a workspace with a secret."""
    time = str(int(at))
    digest = hmac.digest(secret.encode(), f"{time}{joint}".encode() + body, "sha256").hex()
    return {"x-openrouter-signature": f"t={time},v1={digest}"}


def refused(status: int, message: str, **metadata: Any) -> RefusedRequestError:
    """Returns an answer in the error envelope."""
    error = {"code": status, "message": message} | ({"metadata": metadata} if metadata else {})
    return RefusedRequestError(Reply(status=status, body={"error": error}))


def _check(body: dict[str, Any]) -> None:
    if unknown := body.keys() - FIELDS:
        raise refused(400, f"Unrecognized key: {min(unknown)}")
    if body.get("model") not in MODELS:
        raise refused(404, "No endpoints found for the model")
    for name, kind in TYPES.items():
        value = body.get(name)
        if (value is None and name == "prompt") or (value is not None and type(value) is not kind):
            raise refused(400, f"Invalid type: {name}")
    for name, values in VALUES.items():
        if body.get(name, min(values)) not in values:
            raise refused(400, f"Invalid value: {name}")
    if not body.get("callback_url", "https://").startswith("https://"):
        raise refused(400, "callback_url must use https")
    _check_items(body)


def _check_items(body: dict[str, Any]) -> None:
    for item in body.get("frame_images", []):
        if item.keys() != {"type", "image_url", "frame_type"} or item["frame_type"] not in {
            "first_frame",
            "last_frame",
        }:
            raise refused(400, "Invalid frame_images")
    for item in body.get("input_references", []):
        if item.get("type") not in {"image_url", "video_url", "audio_url"} or item.keys() != {
            "type",
            item["type"],
        }:
            raise refused(400, "Invalid input_references")

"""An API of OpenAI's video shape, as strict as the one that it stands for."""

import itertools
import re
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from typing_extensions import override

from tests.fakes.faithful_server import KEY, FaithfulServer, RefusedRequestError, json_of
from tests.fakes.provider_server import Reply, Seen

MODELS = {"sora-2", "sora-2-pro"}
SIZES = {"720x1280", "1280x720", "1024x1792", "1792x1024", "1080x1920", "1920x1080"}
FIELDS = {"model", "prompt", "seconds", "size", "input_reference"}
GATEWAY_MODELS = MODELS | {"openai/sora-2", "runway/seedance2", "dreamina-seedance-2-0-260128"}
NEW_API_FIELDS = FIELDS | {"duration", "metadata", "images"}
NEW_API_METADATA = {
    "resolution": str,
    "ratio": str,
    "generate_audio": bool,
    "watermark": bool,
    "seed": int,
    "content": list,
}
_ONE = re.compile(r"/v1/videos/(?P<id>[^/]+)(?P<content>/content)?")


class OpenAIVideosServer(FaithfulServer):
    """Serves `/v1`. `dialect` is what it stands for: `openai`, `gateway` or `new-api`."""

    FIRST_ID = "video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5"
    PATH = "/v1"

    def __init__(self, *, dialect: str = "openai") -> None:
        super().__init__()
        self.dialect = dialect
        self.sends_results_to: str | None = None
        """Where the content endpoint redirects to."""
        self._numbers = itertools.count(1758941485)

    def will_be(self, status: str, *, task_id: str | None = None, **members: Any) -> None:
        """Makes a task, or the latest, be in a status."""
        name = task_id or self.latest_id
        self.tasks[name] = self.named(name, self._video(status=status) | members)

    @override
    def run(self, task_id: str) -> None:
        self.will_be("in_progress", task_id=task_id)

    @override
    def finish(self, task_id: str) -> None:
        self.will_be("completed", task_id=task_id)

    @override
    def named(self, task_id: str, task: dict[str, Any]) -> dict[str, Any]:
        return {"id": task_id, **({"task_id": task_id} if self.dialect == "new-api" else {}), **task}

    @override
    def answer(self, seen: Seen) -> Reply:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            raise refused(401, "Incorrect API key provided.", code="invalid_api_key")
        if (seen.method, seen.path) == ("POST", "/v1/videos"):
            return self._created(self._order_of(seen))
        found = _ONE.fullmatch(seen.path)
        task = self.tasks.get(found["id"]) if found else None
        if found is None or task is None:
            raise refused(404, "Video not found.", code="not_found")
        if found["content"]:
            return self._content(task)
        return Reply(body=task)

    def _order_of(self, seen: Seen) -> dict[str, Any]:
        """Returns what a request carries; a file is told by its type and bytes."""
        content_type = seen.headers["content-type"]
        if not content_type.startswith("multipart/form-data;"):
            return json_of(seen)
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        order: dict[str, Any] = {}
        for part in message_from_bytes(head + seen.body, policy=HTTP).iter_parts():
            name, content = (
                part.get_param("name", header="content-disposition"),
                part.get_payload(decode=True),
            )
            assert isinstance(content, bytes)
            is_file = part.get_filename() is not None
            order[str(name)] = (part.get_content_type(), content) if is_file else content.decode()
        return order

    def _created(self, body: dict[str, Any]) -> Reply:
        _check(body, self.dialect)
        return Reply(body=self.new_task(body, self._video(status="queued") | {"size": body.get("size")}))

    def _video(self, *, status: str) -> dict[str, Any]:
        created_at = next(self._numbers)
        ended = status in {"completed", "failed"}
        return {
            "object": "video", "model": "sora-2", "status": status, "progress": 100 if ended else 0,
            "created_at": created_at, "completed_at": created_at + 90 if ended else None, "expires_at": None,
            "size": "1280x720", "seconds": "8", "remixed_from_video_id": None, "error": None,
        }  # fmt: skip

    def _content(self, task: dict[str, Any]) -> Reply:
        if task["status"] != "completed":
            raise refused(404, "Video is not ready.", code="not_found")
        if self.sends_results_to is not None:
            return Reply(status=302, headers={"Location": self.sends_results_to})
        return Reply(body=self.video, headers={"Content-Type": "video/mp4"})


def refused(
    status: int, message: str, *, code: str | None, parameter: str | None = None
) -> RefusedRequestError:
    """Returns an answer in the error envelope."""
    error = {"message": message, "type": "invalid_request_error", "param": parameter, "code": code}
    return RefusedRequestError(Reply(status=status, body={"error": error}))


def _check(body: dict[str, Any], dialect: str) -> None:
    models = MODELS if dialect == "openai" else GATEWAY_MODELS
    fields = NEW_API_FIELDS if dialect == "new-api" else FIELDS
    if unknown := body.keys() - fields:
        raise refused(400, "Unknown parameter.", code="unknown_parameter", parameter=min(unknown))
    if body.get("model") not in models:
        raise refused(400, "The model does not exist.", code="model_not_found", parameter="model")
    if not isinstance(body.get("prompt"), str) or not 1 <= len(body["prompt"]) <= 32_000:
        raise refused(400, "Invalid prompt.", code="invalid_value", parameter="prompt")
    seconds, size = body.get("seconds", "4"), body.get("size", "720x1280")
    strict = dialect == "openai"
    if not isinstance(seconds, str) or (seconds not in {"4", "8", "12"} if strict else not seconds.isdigit()):
        raise refused(400, "Invalid seconds.", code="invalid_value", parameter="seconds")
    if size not in SIZES if strict else not re.fullmatch(r"\d+x\d+", size):
        raise refused(400, "Invalid size.", code="invalid_value", parameter="size")
    if strict and size in {"1080x1920", "1920x1080"} and body["model"] != "sora-2-pro":
        raise refused(400, "Invalid size.", code="invalid_value", parameter="size")
    for name, value in body.get("metadata", {}).items():
        if not isinstance(value, NEW_API_METADATA.get(name, ())):
            raise refused(400, "Invalid metadata.", code="invalid_request", parameter=name)

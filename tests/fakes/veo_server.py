"""Veo in the Gemini API, as strict as its documentation."""

import base64
import binascii
import re
from typing import Any

from typing_extensions import override

from tests.fakes.faithful_server import KEY, FaithfulServer, RefusedRequestError, json_of
from tests.fakes.provider_server import Reply, Seen

MODELS = {"veo-3.1-generate-preview", "veo-3.1-fast-generate-preview", "veo-3.1-lite-generate-preview"}
PARAMETERS: dict[str, set[Any] | None] = {
    "aspectRatio": {"16:9", "9:16"},
    "durationSeconds": {4, 6, 8},
    "resolution": {"720p", "1080p", "4k"},
    "personGeneration": {"allow_all", "allow_adult", "dont_allow"},
    "sampleCount": {1},
    "negativePrompt": None,
}
INSTANCE = {"prompt", "image", "lastFrame", "referenceImages"}
TYPES = "type.googleapis.com/google.ai.generativelanguage.v1beta"
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"}
_START = re.compile(r"/v1beta/models/(?P<model>[^/:]+):predictLongRunning")
_FILE = re.compile(r"/v1beta/files/(?P<id>[^/:]+):download")


class VeoServer(FaithfulServer):
    """Serves `/v1beta`."""

    FIRST_ID = "models/veo-3.1-generate-preview/operations/abc123"
    PATH = "/v1beta"

    def __init__(self) -> None:
        super().__init__()
        self.sends_results_to: str | None = None
        """Where a download redirects to."""

    @override
    def run(self, task_id: str) -> None:
        metadata = {"@type": f"{TYPES}.PredictLongRunningMetadata"}
        self.tasks[task_id] = self.named(task_id, {"metadata": metadata})

    @override
    def finish(self, task_id: str) -> None:
        sample = {"video": {"uri": f"{self.base_url}/files/xyz:download?alt=media"}}
        response = {
            "@type": f"{TYPES}.PredictLongRunningResponse",
            "generateVideoResponse": {"generatedSamples": [sample]},
        }
        self.tasks[task_id] = self.named(task_id, {"done": True, "response": response})

    @override
    def named(self, task_id: str, task: dict[str, Any]) -> dict[str, Any]:
        return {"name": task_id, **task}

    @override
    def answer(self, seen: Seen) -> Reply:
        if (
            "authorization" in seen.headers
            or seen.headers.get("x-goog-api-key") != KEY
            or "key" in seen.query
        ):
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            raise refused(400, "API key not valid. Please pass a valid API key.", reason)
        if seen.method == "POST" and (found := _START.fullmatch(seen.path)):
            return self._created(found["model"], json_of(seen))
        if seen.method == "GET" and _FILE.fullmatch(seen.path):
            return self._content(seen)
        task = self.tasks.get(seen.path.removeprefix("/v1beta/"))
        if seen.method != "GET" or task is None:
            raise refused(404, "Requested entity was not found.")
        return Reply(body=task)

    def _created(self, model: str, body: dict[str, Any]) -> Reply:
        if model not in MODELS:
            raise refused(404, f"models/{model} is not found for API version v1beta")
        _check(body)
        return Reply(body=self.new_task(body, {}))

    def _content(self, seen: Seen) -> Reply:
        if seen.query != {"alt": "media"}:
            raise refused(400, "Downloads need alt=media")
        if self.sends_results_to is not None:
            return Reply(status=302, headers={"Location": self.sends_results_to})
        return Reply(body=self.video, headers={"Content-Type": "video/mp4"})


def refused(status: int, message: str, *details: dict[str, Any]) -> RefusedRequestError:
    """Returns an answer in Google's error envelope."""
    error = {"code": status, "message": message, "status": STATUSES[status], "details": list(details)}
    return RefusedRequestError(Reply(status=status, body={"error": error}))


def _check(body: dict[str, Any]) -> None:
    if body.keys() != {"instances", "parameters"} or len(body["instances"]) != 1:
        raise refused(400, "Invalid JSON payload received.")
    instance, parameters = body["instances"][0], body["parameters"]
    if instance.keys() - INSTANCE or not isinstance(instance.get("prompt"), str):
        raise refused(400, "Unknown name in instances.")
    for name, value in parameters.items():
        values = PARAMETERS.get(name, set())
        if values is not None and value not in values:
            raise refused(400, f"{name} is out of bound")
    references = instance.get("referenceImages", [])
    if len(references) > 3 or any(each["referenceType"] != "asset" for each in references):
        raise refused(400, "referenceImages is out of bound")
    needs_eight = parameters["resolution"] != "720p" or references
    if needs_eight and parameters["durationSeconds"] != 8:
        raise refused(400, "durationSeconds must be 8")
    pictures = (instance.get("image"), instance.get("lastFrame"), *(each["image"] for each in references))
    for picture in filter(None, pictures):
        if picture.keys() != {"bytesBase64Encoded", "mimeType"} or not _is_base64(
            picture["bytesBase64Encoded"]
        ):
            raise refused(400, "Invalid image")


def _is_base64(value: str) -> bool:
    try:
        return bool(base64.b64decode(value, validate=True))
    except binascii.Error:
        return False

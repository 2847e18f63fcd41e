"""A Replicate that holds orders against its documentation, keeps predictions, and calls nobody back by itself.

Whatever is scripted by `will` comes first, one answer a request.
"""

import base64
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from typing_extensions import override

from services.common.clock import utc_now
from tests.fakes.provider_server import ProviderServer, Reply

API_KEY = "r8_secret"
MODELS = {
    "bytedance/seedance-2.0": {"480p", "720p", "1080p", "4k"},
    "bytedance/seedance-2.0-fast": {"480p", "720p"},
    "bytedance/seedance-2.0-mini": {"480p", "720p"},
}
RATIOS = {"16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"}
FRAMES = {"image", "last_frame_image"}
REFERENCES = {"reference_images": 9, "reference_videos": 3, "reference_audios": 3}
KNOWN = {"prompt", "duration", "resolution", "aspect_ratio", "generate_audio", "seed", *FRAMES, *REFERENCES}


@dataclass
class Prediction:
    """A prediction as Replicate keeps it."""

    id: str
    model: str
    input: dict[str, Any]
    webhook: str | None
    created_at: str
    status: str = "starting"
    output: Any = None
    error: str | None = None
    data_removed: bool = False

    def complete(self, *, error: str | None = None) -> None:
        self.status = "failed" if error else "succeeded"
        self.error, self.output = error, None if error else f"https://replicate.delivery/{self.id}/tmp.mp4"

    def rendered(self, origin: str) -> dict[str, Any]:
        urls = {
            "get": f"{origin}/v1/predictions/{self.id}",
            "cancel": f"{origin}/v1/predictions/{self.id}/cancel",
        }
        shown = ("id", "model", "input", "created_at", "status", "output", "error", "data_removed")
        return {name: getattr(self, name) for name in shown} | {"version": "hidden", "logs": "", "urls": urls}


class ReplicateServer(ProviderServer):
    PATH = "/v1"

    def __init__(self) -> None:
        super().__init__()
        self.predictions: dict[str, Prediction] = {}
        self.secret = new_secret()
        self.meanwhile: Callable[[Prediction], Awaitable[object]] | None = None
        """What happens after a submission was accepted and before it is answered."""

    @property
    @override
    def task_ids(self) -> list[str]:
        return list(self.predictions)

    @override
    def run(self, task_id: str) -> None:
        self.predictions[task_id].status = "processing"

    @override
    def finish(self, task_id: str) -> None:
        self.predictions[task_id].complete()

    def accept(self, model: str, order: dict[str, Any], *, webhook: str | None) -> Prediction:
        now = utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = Prediction(id=secrets.token_hex(13), model=model, input=order, webhook=webhook, created_at=now)
        self.predictions[made.id] = made
        return made

    def callback(
        self, prediction: Prediction, *, at: float, secret: str | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Returns the headers and the body of the callback about a prediction that has ended."""
        body = json.dumps(prediction.rendered(self.origin)).encode()
        return signed(body, at=at, secret=secret or self.secret), body

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            return problem(401, "You did not pass a valid authentication token")
        path = request.path.removeprefix("/v1").strip("/").split("/")
        if request.method == "POST" and path[0] == "models":
            return await self._created("/".join(path[1:-1]), json.loads(body))
        if path == ["webhooks", "default", "secret"]:
            return Reply(body={"key": self.secret})
        if path == ["predictions"]:
            return self._listed(request.query["created_after"])
        return self._about(path[1], request.method, path[2:])

    def _about(self, name: str, method: str, rest: list[str]) -> Reply:
        found = self.predictions.get(name)
        if found is None or method != ("POST" if rest == ["cancel"] else "GET"):
            return problem(404, "The requested resource could not be found.")
        return self._stopped(found) if rest == ["cancel"] else Reply(body=found.rendered(self.origin))

    async def _created(self, model: str, body: dict[str, Any]) -> Reply:
        if model not in MODELS:
            return problem(404, "The requested resource could not be found.")
        wrong = next(iter(_wrong(body, model=model)), None)
        if wrong is not None:
            return problem(422, f"- input.{wrong}: invalid", title="Input validation failed")
        made = self.accept(model, body["input"], webhook=body.get("webhook"))
        if self.meanwhile is not None:
            await self.meanwhile(made)
        return Reply(status=201, body=made.rendered(self.origin))

    def _listed(self, created_after: str) -> Reply:
        since = datetime.fromisoformat(created_after)
        rows = [each for each in self.predictions.values() if datetime.fromisoformat(each.created_at) > since]
        return Reply(
            body={"next": None, "previous": None, "results": [each.rendered(self.origin) for each in rows]}
        )

    def _stopped(self, prediction: Prediction) -> Reply:
        if prediction.status in {"starting", "processing"}:
            prediction.status = "canceled"
        return Reply(body=prediction.rendered(self.origin))


def problem(status: int, detail: str, **more: Any) -> Reply:
    return Reply(status=status, body={"detail": detail, "status": status, **more})


def _wrong(body: dict[str, Any], *, model: str) -> list[str]:
    order = body["input"]
    values = {
        "resolution": MODELS[model],
        "duration": {-1, *range(4, 16)},
        "aspect_ratio": RATIOS,
        "generate_audio": {True, False},
    }
    odd = [name for name, known in values.items() if name in order and not _is_one(order[name], known)]
    many = [name for name, most in REFERENCES.items() if len(order.get(name, ())) > most]
    mixed = ["reference_images"] if FRAMES & order.keys() and REFERENCES.keys() & order.keys() else []
    first = ["last_frame_image"] if "last_frame_image" in order and "image" not in order else []
    events = (
        [] if body.get("webhook_events_filter", ["completed"]) == ["completed"] else ["webhook_events_filter"]
    )
    missing = [] if isinstance(order.get("prompt"), str) else ["prompt"]
    seed = [] if type(order.get("seed", 0)) is int else ["seed"]
    return missing + sorted(order.keys() - KNOWN) + odd + many + mixed + first + events + seed


def _is_one(value: object, known: set[Any]) -> bool:
    return any(type(value) is type(each) and value == each for each in known)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def signed(body: bytes, *, at: float, secret: str, id: str = "msg_1") -> dict[str, str]:  # noqa: A002
    """Returns the headers of a callback as Replicate signs it; another signature comes first."""
    timestamp = str(int(at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")).decode()
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(bytes(32)).decode()} v1,{signature}",
    }

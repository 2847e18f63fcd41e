"""A fal that holds orders against its documentation, keeps requests, and calls nobody back by itself.

Whatever is scripted by `will` comes first, one answer a request.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from tests.fakes.provider_server import ProviderServer, Reply

API_KEY = "id:secret"
USER_ID = "user-of-ours"
RESOLUTIONS = {"": {"480p", "720p", "1080p", "4k"}, "fast": {"480p", "720p"}, "mini": {"480p", "720p"}}
RATIOS = {"auto", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"}
DURATIONS = {"auto", *(str(seconds) for seconds in range(4, 16))}
REQUIRED = {
    "text-to-video": {"prompt"},
    "image-to-video": {"prompt", "image_url"},
    "reference-to-video": {"prompt"},
}
REFERENCES = {"image_urls": 9, "video_urls": 3, "audio_urls": 3}
REFERENCES_MAX = 12
COMMON = {"prompt", "resolution", "duration", "aspect_ratio", "generate_audio", "bitrate_mode", "end_user_id"}
KNOWN = {
    "text-to-video": COMMON,
    "image-to-video": COMMON | {"image_url", "end_image_url"},
    "reference-to-video": COMMON | {"image_urls", "video_urls", "audio_urls"},
}
APP = "bytedance/seedance-2.0"


@dataclass
class Request:
    """A request as fal keeps it."""

    request_id: str
    endpoint: str
    input: dict[str, Any]
    webhook: str | None
    status: str = "IN_QUEUE"
    result: Reply = field(
        default_factory=lambda: Reply(status=400, body={"detail": "Request is still in progress"})
    )

    def complete(self, result: Reply | None = None) -> None:
        self.status = "COMPLETED"
        self.result = result or Reply(
            body={"video": {"url": f"https://v3.fal.media/files/{self.request_id}.mp4"}}
        )


class FalServer(ProviderServer):
    """Serves the queue, and the keys of callbacks at `keys_url`."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[str, Request] = {}
        self.key = Ed25519PrivateKey.generate()
        self.meanwhile: Callable[[Request], Awaitable[object]] | None = None
        """What happens after a submission was accepted and before it is answered."""

    @property
    @override
    def task_ids(self) -> list[str]:
        return [task_id_of(request_id) for request_id in self.requests]

    @override
    def run(self, task_id: str) -> None:
        self.requests[task_id.rpartition("/")[2]].status = "IN_PROGRESS"

    @override
    def finish(self, task_id: str) -> None:
        self.requests[task_id.rpartition("/")[2]].complete()

    @property
    def keys_url(self) -> str:
        return f"{self.origin}/.well-known/jwks.json"

    def accept(self, endpoint: str, order: dict[str, Any], *, webhook: str | None) -> Request:
        made = Request(
            request_id=str(UUID(bytes=secrets.token_bytes(16))),
            endpoint=endpoint,
            input=order,
            webhook=webhook,
        )
        self.requests[made.request_id] = made
        return made

    def callback(
        self, request: Request, *, at: float, key: Ed25519PrivateKey | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Returns the headers and the body of the callback about a request that has ended."""
        ok = request.result.status < 400
        said = {"payload": json.loads(request.result.payload), "status": "OK" if ok else "ERROR"}
        body = json.dumps({"request_id": request.request_id, "gateway_request_id": "g", **said}).encode()
        return signed(body, request_id=request.request_id, at=at, key=key or self.key), body

    @override
    async def respond(self, request: web.BaseRequest, body: bytes) -> Reply:
        if request.path == "/.well-known/jwks.json":
            return Reply(body=jwks(self.key))
        if request.headers.get("Authorization") != f"Key {API_KEY}":
            return Reply(status=401, body={"detail": "Cannot access application. Authentication is required"})
        parts = request.path.strip("/").split("/")
        if request.method == "POST":
            return await self._submitted("/".join(parts), body, dict(request.query))
        found = self.requests.get(parts[3]) if parts[2:3] == ["requests"] and len(parts) > 3 else None
        if found is None or "/".join(parts[:2]) != "/".join(found.endpoint.split("/")[:2]):
            return Reply(status=404, body={"status": "NOT_FOUND"})
        return self._about(found, request.method, parts[4:])

    async def _submitted(self, endpoint: str, body: bytes, query: Mapping[str, str]) -> Reply:
        order = json.loads(body)
        if (refused := refusal(endpoint, order)) is not None:
            return refused
        made = self.accept(endpoint, order, webhook=query.get("fal_webhook"))
        if self.meanwhile is not None:
            await self.meanwhile(made)
        address = f"{self.origin}/{APP}/requests/{made.request_id}"
        named = {
            "response_url": address,
            "status_url": f"{address}/status",
            "cancel_url": f"{address}/cancel",
        }
        return Reply(
            body={"status": made.status, "request_id": made.request_id, "queue_position": 0, **named}
        )

    def _about(self, found: Request, method: str, rest: list[str]) -> Reply:
        if (method, rest) == ("PUT", ["cancel"]):
            if found.status == "COMPLETED":
                return Reply(status=400, body={"status": "ALREADY_COMPLETED"})
            if found.status == "IN_QUEUE":
                found.complete(
                    Reply(status=499, body={"detail": "Request cancelled", "error_type": "client_cancelled"})
                )
            return Reply(status=202, body={"status": "CANCELLATION_REQUESTED"})
        if (method, rest) == ("GET", ["status"]):
            done = found.status == "COMPLETED"
            return Reply(
                status=200 if done else 202, body={"status": found.status, "request_id": found.request_id}
            )
        is_result = (method, rest) == ("GET", [])
        return found.result if is_result else Reply(status=405, body={"detail": "Method Not Allowed"})


def task_id_of(request_id: str) -> str:
    """Returns what the adapter calls a request."""
    return f"{APP}/requests/{request_id}"


def refusal(endpoint: str, order: dict[str, Any]) -> Reply | None:
    """Returns what fal says about an order that its documentation does not allow."""
    app, _, rest = endpoint.partition("bytedance/seedance-2.0/")
    tier, _, mode = rest.rpartition("/")
    if app or tier not in RESOLUTIONS or mode not in REQUIRED:
        return Reply(status=404, body={"detail": f"Application '{endpoint}' not found"})
    wrong = next(iter(_wrong(order, tier=tier, mode=mode)), None)
    if wrong is None:
        return None
    return Reply(
        status=422, body={"detail": [{"loc": ["body", wrong[0]], "msg": wrong[1], "type": wrong[1]}]}
    )


def _wrong(order: dict[str, Any], *, tier: str, mode: str) -> list[tuple[str, str]]:
    missing = [(name, "missing") for name in REQUIRED[mode] - order.keys()]
    unknown = [(name, "value_error") for name in order.keys() - KNOWN[mode]]
    values: dict[str, set[Any]] = {
        "resolution": RESOLUTIONS[tier],
        "duration": DURATIONS,
        "aspect_ratio": RATIOS,
        "generate_audio": {True, False},
    }
    odd = [
        (name, "one_of")
        for name, known in values.items()
        if name in order and not _is_one(order[name], known)
    ]
    counts = [
        (name, "sequence_too_long") for name, most in REFERENCES.items() if len(order.get(name, ())) > most
    ]
    too_many = sum(len(order.get(name, ())) for name in REFERENCES) > REFERENCES_MAX
    in_all = [("image_urls", "sequence_too_long")] if too_many else []
    return missing + unknown + odd + counts + in_all


def _is_one(value: object, known: set[Any]) -> bool:
    return any(type(value) is type(each) and value == each for each in known)


def jwks(*keys: Ed25519PrivateKey) -> dict[str, Any]:
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": _encoded(key)} for key in keys]}


def signed(
    body: bytes, *, request_id: str, at: float, key: Ed25519PrivateKey, user_id: str = USER_ID
) -> dict[str, str]:
    """Returns the headers of a callback as fal signs it."""
    timestamp = str(int(at))
    message = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()))
    return {
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": user_id,
        "x-fal-webhook-timestamp": timestamp,
        "x-fal-webhook-signature": key.sign(message.encode()).hex(),
    }


def _encoded(key: Ed25519PrivateKey) -> str:
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")

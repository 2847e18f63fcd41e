"""What an account has besides videos. Keys of both contracts use these alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelgate_client.core import Core, D, Resource
from reelgate_client.drivers import iteration, operation
from reelgate_client.effects import Emit, Emitting, Plan
from reelgate_client.errors import InvalidRequestError
from reelgate_client.transfers import put

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
}


class Upload:
    """A file that was sent. Name its `url` in a request."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.id = str(data["id"])
        self.url = str(data["url"])
        self.status = str(data["status"])

    def __repr__(self) -> str:
        return f"<Upload {self.id} {self.status}>"


class Uploads(Resource[D]):
    """Files of the customer's own."""

    PATH = "/v1/uploads"

    @operation
    def create(
        self, path: str | Path, *, content_type: str | None = None, idempotency_key: str | None = None
    ) -> Plan[Upload]:
        """Sends a file. Raises InvalidRequestError if it is none that a request can name."""
        path = Path(path)
        kind = content_type or CONTENT_TYPES.get(path.suffix.lower())
        if kind is None:
            known = ", ".join(CONTENT_TYPES)
            raise InvalidRequestError(
                f"What is {path}? Give content_type, or a name that ends in one of {known}"
            )
        announced = {"content_type": kind, "size_bytes": path.stat().st_size}
        data = yield from self.core.data("POST", self.PATH, announced, idempotency_key=idempotency_key)
        yield from put(self.core, path, data["put"])
        return Upload((yield from self.core.data("GET", f"{self.PATH}/{data['id']}")))

    @operation
    def get(self, id: str) -> Plan[Upload]:  # noqa: A002
        """Returns an upload. Raises NotFoundError."""
        return Upload((yield from self.core.data("GET", f"{self.PATH}/{id}")))

    @operation
    def delete(self, id: str) -> Plan[dict[str, Any]]:  # noqa: A002
        """Deletes an upload. A video that names it and has not begun to render fails."""
        return self.core.data("DELETE", f"{self.PATH}/{id}")


class Models(Resource[D]):
    """What videos can be made with."""

    PATH = "/v1/models"

    @operation
    def list(self) -> Plan[list[dict[str, Any]]]:
        """Returns the models that the key may use."""
        return self.core.data("GET", self.PATH)

    @operation
    def get(self, id: str) -> Plan[dict[str, Any]]:  # noqa: A002
        """Returns a model with its ratios, capabilities and `credits_per_second`. Raises NotFoundError."""
        return self.core.data("GET", f"{self.PATH}/{id}")


class WebhookEndpoints(Resource[D]):
    """Addresses that get the events of all videos."""

    PATH = "/v1/webhook_endpoints"

    @operation
    def create(self, /, *, idempotency_key: str | None = None, **body: Any) -> Plan[dict[str, Any]]:
        """Registers an address. Only this answer has its `secret`."""
        return self.core.data("POST", self.PATH, body, idempotency_key=idempotency_key)

    @operation
    def list(self) -> Plan[list[dict[str, Any]]]:
        """Returns all endpoints."""
        return self.core.data("GET", self.PATH)

    @operation
    def get(self, id: str) -> Plan[dict[str, Any]]:  # noqa: A002
        """Returns an endpoint. Raises NotFoundError."""
        return self.core.data("GET", f"{self.PATH}/{id}")

    @operation
    def update(self, id: str, /, **changes: Any) -> Plan[dict[str, Any]]:  # noqa: A002
        """Changes what is given and leaves the rest."""
        return self.core.data("PATCH", f"{self.PATH}/{id}", changes)

    @operation
    def delete(self, id: str) -> Plan[dict[str, Any]]:  # noqa: A002
        """Deletes an endpoint."""
        return self.core.data("DELETE", f"{self.PATH}/{id}")

    @operation
    def test(self, id: str, *, idempotency_key: str | None = None) -> Plan[dict[str, Any]]:  # noqa: A002
        """Sends a `webhook.test` event. Returns the delivery."""
        return self.core.data("POST", f"{self.PATH}/{id}/test", idempotency_key=idempotency_key)

    @operation
    def rotate_secret(self, id: str, *, idempotency_key: str | None = None) -> Plan[dict[str, Any]]:  # noqa: A002
        """Makes a new `secret`, which only this answer has. Both sign until it is confirmed."""
        return self.core.data("POST", f"{self.PATH}/{id}/rotate_secret", idempotency_key=idempotency_key)

    @operation
    def confirm_secret(self, id: str, *, idempotency_key: str | None = None) -> Plan[dict[str, Any]]:  # noqa: A002
        """Puts the new secret first; the old one signs beside it for 24 more hours."""
        return self.core.data("POST", f"{self.PATH}/{id}/confirm_secret", idempotency_key=idempotency_key)


class WebhookDeliveries(Resource[D]):
    """What was sent to endpoints and callback addresses, and what came of it."""

    PATH = "/v1/webhook_deliveries"

    @iteration
    def list(
        self,
        *,
        endpoint_id: str | None = None,
        job_id: str | None = None,
        status: str | None = None,
        start: str | None = None,
        end: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Emitting[dict[str, Any]]:
        """Iterates over deliveries, newest first. `limit` is how many are asked for at once."""
        params = {
            "endpoint_id": endpoint_id,
            "job_id": job_id,
            "status": status,
            "start": start,
            "end": end,
            "after": after,
            "limit": limit,
        }
        return pages(self.core, self.PATH, params)

    @operation
    def get(self, id: str) -> Plan[dict[str, Any]]:  # noqa: A002
        """Returns a delivery with its attempts. Raises NotFoundError."""
        return self.core.data("GET", f"{self.PATH}/{id}")

    @operation
    def redeliver(self, id: str, *, idempotency_key: str | None = None) -> Plan[dict[str, Any]]:  # noqa: A002
        """Sends it again, with a new schedule."""
        return self.core.data("POST", f"{self.PATH}/{id}/redeliver", idempotency_key=idempotency_key)


class Redeliveries(Resource[D]):
    """Repetitions of everything that was given up in some time."""

    PATH = "/v1/webhook_redeliveries"

    @operation
    def create(self, /, *, idempotency_key: str | None = None, **body: Any) -> Plan[dict[str, Any]]:
        """Sends again what was given up between `start` and `end`, to `endpoint_id` or to all."""
        return self.core.data("POST", self.PATH, body, idempotency_key=idempotency_key)

    @operation
    def get(self, id: str) -> Plan[dict[str, Any]]:  # noqa: A002
        """Returns a redelivery, with how far it is."""
        return self.core.data("GET", f"{self.PATH}/{id}")


def pages(core: Core[Any], path: str, params: Mapping[str, Any]) -> Emitting[Any]:
    """Emits what a list has, page by page."""
    params = dict(params)
    while True:
        page = yield from core.json("GET", path, params=params)
        for each in page["data"]:
            yield Emit(each)
        params["after"] = page.get("next_after")
        if params["after"] is None:
            return

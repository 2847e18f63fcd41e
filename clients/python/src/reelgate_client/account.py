"""What an account has besides videos. Keys of both contracts use these alike, except for models."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from reelgate_client.core import D, Resource
from reelgate_client.drivers import Plan, iteration, operation
from reelgate_client.errors import InvalidRequestError
from reelgate_client.transfers import put
from reelgate_client.types import account, seedancee2

if TYPE_CHECKING:
    from typing_extensions import Unpack

KINDS = {"image": ["bmp", "gif", "jpeg", "png", "tiff", "webp"], "video": ["mp4"], "audio": ["wav"]}
CONTENT_TYPES = {f".{form}": f"{kind}/{form}" for kind, forms in KINDS.items() for form in forms} | {
    ".jpg": "image/jpeg",
    ".tif": "image/tiff",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
}


J = TypeVar("J")


class Kept(Resource[D], Generic[D, J]):
    """Things that have an id."""

    PATH: ClassVar[str]

    @operation
    def get(self, id: str) -> Plan[J]:
        """Returns one by its id, as it is now. Raises NotFoundError."""
        return self.core.data("GET", f"{self.PATH}/{id}")


class Upload:
    """A file that was sent. Name its `url` in a request."""

    def __init__(self, data: account.Upload) -> None:
        self.data = data
        self.id, self.url, self.status = data["id"], data["url"], data["status"]

    def __repr__(self) -> str:
        return f"<Upload {self.id} {self.status}>"


class Uploads(Resource[D]):
    """Files of the customer's own."""

    PATH = "/v1/uploads"

    @operation
    async def create(
        self, path: str | Path, *, content_type: str | None = None, idempotency_key: str | None = None
    ) -> Upload:
        """Sends a file. Raises InvalidRequestError if it is none that a request can name."""
        path = Path(path)
        kind = content_type or CONTENT_TYPES.get(path.suffix.lower())
        if kind is None:
            known = ", ".join(CONTENT_TYPES)
            raise InvalidRequestError(
                f"What is {path}? Give content_type, or a name that ends in one of {known}"
            )
        announced = {"content_type": kind, "size_bytes": path.stat().st_size}
        data = await self.core.data("POST", self.PATH, announced, idempotency_key=idempotency_key)
        await put(self.core, path, data["put"])
        return await Uploads.get.plan(self, data["id"])

    @operation
    async def get(self, id: str) -> Upload:
        """Returns an upload. Raises NotFoundError."""
        return Upload(await self.core.data("GET", f"{self.PATH}/{id}"))

    @operation
    def delete(self, id: str) -> Plan[account.DeletedUpload]:
        """Deletes an upload. A video that names it and has not begun to render fails."""
        return self.core.data("DELETE", f"{self.PATH}/{id}")


class Models(Kept[D, seedancee2.ModelDetail]):
    """What videos can be made with."""

    PATH = "/v1/models"

    @operation
    def list(self) -> Plan[list[seedancee2.Model]]:
        """Returns the models that the key may use."""
        return self.core.data("GET", self.PATH)


class WebhookEndpoints(Kept[D, account.WebhookEndpoint]):
    """Addresses that get the events of all videos."""

    PATH = "/v1/webhook_endpoints"

    @operation
    def create(
        self,
        /,
        *,
        idempotency_key: str | None = None,
        **body: Unpack[account.CreateWebhookEndpointRequest],
    ) -> Plan[account.WebhookEndpoint]:
        """Registers an address. Only this answer has its `secret`."""
        return self.core.data("POST", self.PATH, body, idempotency_key=idempotency_key)

    @operation
    def list(self) -> Plan[list[account.WebhookEndpoint]]:
        """Returns all endpoints."""
        return self.core.data("GET", self.PATH)

    @operation
    def update(
        self, id: str, /, **changes: Unpack[account.UpdateWebhookEndpointRequest]
    ) -> Plan[account.WebhookEndpoint]:
        """Changes what is given and leaves the rest."""
        return self.core.data("PATCH", f"{self.PATH}/{id}", changes)

    @operation
    def delete(self, id: str) -> Plan[account.DeletedWebhookEndpoint]:
        """Deletes an endpoint."""
        return self.core.data("DELETE", f"{self.PATH}/{id}")

    @operation
    def test(self, id: str, *, idempotency_key: str | None = None) -> Plan[account.WebhookDelivery]:
        """Sends a `webhook.test` event. Returns the delivery."""
        return self.core.data("POST", f"{self.PATH}/{id}/test", idempotency_key=idempotency_key)

    @operation
    def rotate_secret(self, id: str, *, idempotency_key: str | None = None) -> Plan[account.WebhookEndpoint]:
        """Makes a new `secret`, which only this answer has. Both sign until it is confirmed."""
        return self.core.data("POST", f"{self.PATH}/{id}/rotate_secret", idempotency_key=idempotency_key)

    @operation
    def confirm_secret(self, id: str, *, idempotency_key: str | None = None) -> Plan[account.WebhookEndpoint]:
        """Puts the new secret first; the old one signs beside it for 24 more hours."""
        return self.core.data("POST", f"{self.PATH}/{id}/confirm_secret", idempotency_key=idempotency_key)


class WebhookListeners(Resource[D]):
    """Places from which webhooks are fetched, by a machine that no request from outside reaches."""

    PATH = "/v1/webhook_listeners"

    @operation
    def create(
        self, /, *, idempotency_key: str | None = None, **body: Unpack[account.CreateWebhookListenerRequest]
    ) -> Plan[account.WebhookListener]:
        """Makes a listener. Only this answer has its `secret`. It ends when it is not read for an hour."""
        return self.core.data("POST", self.PATH, body, idempotency_key=idempotency_key)

    @operation
    def read(
        self, id: str, /, **query: Unpack[account.ReadWebhookListenerQuery]
    ) -> Plan[list[account.WebhookListenerDelivery]]:
        """Returns what has come after a `sequence`, signed for now, or waits for it."""
        timeout = query.get("wait", 0) + self.core.timeout
        return self.core.data("GET", f"{self.PATH}/{id}/deliveries", params=query, timeout=timeout)

    @operation
    def delete(self, id: str) -> Plan[account.DeletedWebhookListener]:
        """Ends a listener."""
        return self.core.data("DELETE", f"{self.PATH}/{id}")

    @operation
    def list(self) -> Plan[list[account.WebhookListener]]:
        """Returns all listeners."""
        return self.core.data("GET", self.PATH)


class WebhookDeliveries(Kept[D, account.WebhookDelivery]):
    """What was sent to endpoints and callback addresses, and what came of it."""

    PATH = "/v1/webhook_deliveries"

    @iteration
    def list(
        self, /, **query: Unpack[account.ListWebhookDeliveriesQuery]
    ) -> AsyncGenerator[account.WebhookDelivery, None]:
        """Iterates over all deliveries, newest first. `limit` is how many are asked for at once."""
        return self.core.pages(self.PATH, query)

    @operation
    def redeliver(self, id: str, *, idempotency_key: str | None = None) -> Plan[account.WebhookDelivery]:
        """Sends it again, with a new schedule."""
        return self.core.data("POST", f"{self.PATH}/{id}/redeliver", idempotency_key=idempotency_key)


class Redeliveries(Kept[D, account.WebhookRedelivery]):
    """Repetitions of everything that was given up in some time."""

    PATH = "/v1/webhook_redeliveries"

    @operation
    def create(
        self,
        /,
        *,
        idempotency_key: str | None = None,
        **body: Unpack[account.CreateWebhookRedeliveryRequest],
    ) -> Plan[account.WebhookRedelivery]:
        """Sends again what was given up between `start` and `end`, to `endpoint_id` or to all."""
        return self.core.data("POST", self.PATH, body, idempotency_key=idempotency_key)

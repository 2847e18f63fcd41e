"""The clients: one class for each contract and driver."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

import httpx2

from reelgate_client import core as parts
from reelgate_client.account import (
    Models,
    Redeliveries,
    Uploads,
    WebhookDeliveries,
    WebhookEndpoints,
    WebhookListeners,
)
from reelgate_client.core import NEXTAPI, SEEDANCEE2, Contract, Core, D, Json, Resource
from reelgate_client.drivers import Answer, Async, Plan, Sync, operation
from reelgate_client.types import account, seedancee2
from reelgate_client.videos import NextAPIVideos, Seedancee2Videos

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Settings(TypedDict, total=False):
    """What both kinds of client can be given besides."""

    timeout: float
    """Seconds of silence that end an attempt; 30 by default. The time of a held-open wait comes on top."""
    max_retries: int
    """How often a request is repeated; 3 by default."""
    environment: Literal["live", "test"]
    """Of which the key must be."""


class Account(Resource[D]):
    """What a client of either contract has."""

    contract: ClassVar[Contract]

    def __init__(
        self,
        driver: D,
        api_key: str | None,
        base_url: str | None,
        timeout: float = 30,
        max_retries: int = 3,
        environment: str | None = None,
    ) -> None:
        key = parts.checked_key(api_key, contract=self.contract, environment=environment)
        url = parts.checked_url(base_url)
        super().__init__(Core(self.contract, key, url, timeout, max_retries, environment, driver))
        self._add_parts()

    def _add_parts(self) -> None:
        self.uploads = Uploads(self.core)
        self.webhook_endpoints = WebhookEndpoints(self.core)
        self.webhook_listeners = WebhookListeners(self.core)
        self.webhook_deliveries = WebhookDeliveries(self.core)
        self.redeliveries = Redeliveries(self.core)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(api_key={parts.masked(self.core.api_key)!r}, base_url={self.core.base_url!r})"

    @property
    def environment(self) -> str:
        """Returns `live` or `test`, as the key says."""
        return parts.environment_of(self.core.api_key)

    def with_raw_response(self) -> AbstractContextManager[list[Answer]]:
        """Yields a list that gets the answers of the calls inside, with their headers, in this thread or task."""
        return parts.recording()

    @operation
    def balance(self) -> Plan[account.Balance]:
        """Returns the credits that are available and held."""
        return self.core.data("GET", "/v1/balance")

    @operation
    def request(self, method: str, path: str, body: Json = None, /, **options: Any) -> Plan[Answer]:
        """Sends any request with the key, as all others are sent. Takes `params`, `idempotency_key` and `timeout`."""
        return self.core.call(method, path, body, **options)


class Seedancee2Account(Account[D]):
    """What only keys of the Seedancee2 contract may do."""

    contract = SEEDANCEE2
    videos: Seedancee2Videos[D]
    models: Models[D]

    def _add_parts(self) -> None:
        super()._add_parts()
        self.videos = Seedancee2Videos(self.core)
        self.models = Models(self.core)

    @operation
    def usage(self, /, **query: Unpack[seedancee2.GetUsageQuery]) -> Plan[seedancee2.Usage]:
        """Returns counts and credits of a time, by default of the last 30 days."""
        return self.core.data("GET", "/v1/usage", params=query)


class NextAPIAccount(Account[D]):
    """What only keys of the NextAPI contract may do."""

    contract = NEXTAPI
    videos: NextAPIVideos[D]

    def _add_parts(self) -> None:
        super()._add_parts()
        self.videos = NextAPIVideos(self.core)


class SyncAccount(Account[Sync]):
    """A client whose methods block."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        http_client: httpx2.Client | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        self._owns = http_client is None
        super().__init__(Sync(http_client), api_key, base_url, **settings)

    def close(self) -> None:
        """Closes the connections, unless they are of an `http_client` that was given."""
        if self._owns:
            self.core.driver.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncAccount(Account[Async]):
    """A client whose methods are coroutines."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        http_client: httpx2.AsyncClient | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        self._owns = http_client is None
        super().__init__(Async(http_client), api_key, base_url, **settings)

    async def aclose(self) -> None:
        """Closes the connections, unless they are of an `http_client` that was given."""
        if self._owns:
            await self.core.driver.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Seedancee2(Seedancee2Account[Sync], SyncAccount):
    """A client of the Seedancee2 contract."""


class AsyncSeedancee2(Seedancee2Account[Async], AsyncAccount):
    """A client of the Seedancee2 contract, for asyncio."""


class NextAPI(NextAPIAccount[Sync], SyncAccount):
    """A client of the NextAPI contract."""


class AsyncNextAPI(NextAPIAccount[Async], AsyncAccount):
    """A client of the NextAPI contract, for asyncio."""


def connect(
    api_key: str | None = None, base_url: str | None = None, **settings: Unpack[Settings]
) -> Seedancee2 | NextAPI:
    """Returns the client of the contract that the key is of."""
    key = api_key or os.environ.get("REELGATE_API_KEY", "")
    of_key: type[Seedancee2 | NextAPI] = NextAPI if key.strip().startswith(NEXTAPI.key_prefix) else Seedancee2
    return of_key(api_key, base_url, **settings)

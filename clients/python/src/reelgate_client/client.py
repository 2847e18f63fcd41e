"""The clients: one class for each contract and driver."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import httpx2

from reelgate_client import account as of_account
from reelgate_client import core as parts
from reelgate_client.core import NEXTAPI, SEEDANCEE2, Contract, Core, D, Json, Resource
from reelgate_client.drivers import Answer, Async, Plan, Sync, operation
from reelgate_client.types import account, seedancee2
from reelgate_client.videos import NextAPIVideos, Seedancee2Videos

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class Account(Resource[D]):
    """What a client of either contract has."""

    contract: ClassVar[Contract]
    driver: ClassVar[Any]

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 30,
        max_retries: int = 3,
        environment: Literal["live", "test"] | None = None,
        http_client: httpx2.Client | httpx2.AsyncClient | None = None,
    ) -> None:
        key = parts.checked_key(api_key, contract=self.contract, environment=environment)
        url = parts.checked_url(base_url)
        self._owns, driver = http_client is None, type(self).driver(http_client)
        super().__init__(Core(self.contract, key, url, timeout, max_retries, environment, driver))
        self._add_parts()

    def _add_parts(self) -> None:
        self.uploads = of_account.Uploads(self.core)
        self.webhook_endpoints = of_account.WebhookEndpoints(self.core)
        self.webhook_listeners = of_account.WebhookListeners(self.core)
        self.webhook_deliveries = of_account.WebhookDeliveries(self.core)
        self.redeliveries = of_account.Redeliveries(self.core)

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

    def _add_parts(self) -> None:
        super()._add_parts()
        self.videos = Seedancee2Videos(self.core)
        self.models = of_account.Models(self.core)

    @operation
    def usage(self, /, **query: Unpack[seedancee2.GetUsageQuery]) -> Plan[seedancee2.Usage]:
        """Returns counts and credits of a time, by default of the last 30 days."""
        return self.core.data("GET", "/v1/usage", params=query)


class NextAPIAccount(Account[D]):
    """What only keys of the NextAPI contract may do."""

    contract = NEXTAPI

    def _add_parts(self) -> None:
        super()._add_parts()
        self.videos = NextAPIVideos(self.core)


class SyncAccount(Account[Sync]):
    """A client whose methods block."""

    driver = Sync

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

    driver = Async

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


def connect(api_key: str | None = None, base_url: str | None = None, **settings: Any) -> Seedancee2 | NextAPI:
    """Returns the client of the contract that the key is of. Takes the settings of both."""
    key = api_key or os.environ.get("REELGATE_API_KEY", "")
    of_key: type[Seedancee2 | NextAPI] = NextAPI if key.strip().startswith(NEXTAPI.key_prefix) else Seedancee2
    return of_key(api_key, base_url, **settings)

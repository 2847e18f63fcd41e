"""The clients: one class for each contract and driver."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import httpx2

from reelgate_client.account import Models, Redeliveries, Uploads, WebhookDeliveries, WebhookEndpoints
from reelgate_client.core import (
    NEXTAPI,
    SEEDANCEE2,
    Contract,
    Core,
    D,
    RawResponse,
    Resource,
    checked_key,
    checked_url,
    environment_of,
    masked,
    recording,
)
from reelgate_client.drivers import Async, Sync, operation
from reelgate_client.effects import Answer, Plan
from reelgate_client.videos import NextAPIVideos, Seedancee2Videos

if TYPE_CHECKING:
    from typing_extensions import Self

Json = dict[str, Any]


class Account(Resource[D]):
    """What a client of either contract has."""

    contract: ClassVar[Contract]

    def __init__(
        self,
        driver: D,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        environment: str | None,
    ) -> None:
        core = Core(
            contract=self.contract,
            api_key=checked_key(api_key, contract=self.contract, environment=environment),
            base_url=checked_url(base_url),
            timeout=timeout,
            max_retries=max_retries,
            environment=environment,
            driver=driver,
        )
        super().__init__(core)
        self._add_parts()

    def _add_parts(self) -> None:
        self.uploads = Uploads(self.core)
        self.webhook_endpoints = WebhookEndpoints(self.core)
        self.webhook_deliveries = WebhookDeliveries(self.core)
        self.redeliveries = Redeliveries(self.core)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(api_key={masked(self.core.api_key)!r}, base_url={self.core.base_url!r})"
        )

    @property
    def environment(self) -> str:
        """Returns `live` or `test`, as the key says."""
        return environment_of(self.core.api_key)

    def with_raw_response(self) -> AbstractContextManager[RawResponse]:
        """Records the last answer of the calls inside: `with client.with_raw_response() as raw: …; raw.headers`."""
        return recording()

    @operation
    def balance(self) -> Plan[Json]:
        """Returns the credits that are available and held."""
        return self.core.data("GET", "/v1/balance")

    @operation
    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Plan[Answer]:
        """Sends any request with the key, repeats it where that is safe, and raises what is refused."""
        return self.core.call(
            method, path, body, params=params, idempotency_key=idempotency_key, timeout=timeout
        )


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
    def usage(self, start: str | None = None, end: str | None = None, limit: int | None = None) -> Plan[Json]:
        """Returns counts and credits of a time, by default of the last 30 days; `limit` is of the days in `timeline`."""
        return self.core.data("GET", "/v1/usage", params={"start": start, "end": end, "limit": limit})


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
        timeout: float = 30,
        max_retries: int = 3,
        environment: str | None = None,
        http_client: httpx2.Client | None = None,
    ) -> None:
        self._owns = http_client is None
        super().__init__(
            Sync(http_client),
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            environment=environment,
        )

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
        timeout: float = 30,
        max_retries: int = 3,
        environment: str | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        self._owns = http_client is None
        super().__init__(
            Async(http_client),
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            environment=environment,
        )

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


def connect(api_key: str | None = None, **settings: Any) -> Seedancee2 | NextAPI:
    """Returns the client of the contract that the key is of. Takes the settings of both."""
    key = api_key or os.environ.get("REELGATE_API_KEY", "")
    of_key: type[Seedancee2 | NextAPI] = NextAPI if key.strip().startswith(NEXTAPI.key_prefix) else Seedancee2
    return of_key(api_key, **settings)

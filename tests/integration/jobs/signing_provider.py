"""Providers that sign their callbacks, in words that fit each of them: fakes that keep tasks, behind the real adapters."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from services.upstream.callback_keys import FETCH_INTERVAL_SECONDS
from services.upstream.provider import Provider
from services.upstream.providers.fal.adapter import FalProvider
from services.upstream.providers.replicate.adapter import ReplicateProvider
from tests.fakes import fal_server, replicate_server
from tests.fakes.fal_server import FalServer
from tests.fakes.replicate_server import ReplicateServer

Callback = tuple[dict[str, str], bytes]
STRANGE_TASK = "strange-task"


class SigningProvider(ABC):
    """A provider, its tasks, and the callbacks that it would send."""

    server: Any
    provider: Provider
    model: str
    clock: float = 0.0

    def renew_key_in_time(self) -> None:
        """Signs with another key from now on, a while after the former was fetched."""
        self.renew_key()
        self.clock += FETCH_INTERVAL_SECONDS

    @abstractmethod
    def renew_key(self) -> None: ...

    @abstractmethod
    def tasks(self) -> list[Any]: ...

    @abstractmethod
    def task_id(self, task: Any) -> str: ...

    @abstractmethod
    def strange_task(self) -> Any:
        """Returns a task of another customer, which our credential does not show."""

    @abstractmethod
    def callback(self, task: Any, *, age_seconds: float = 0.0, wrong_key: bool = False) -> Callback:
        """Returns what the provider sends about a task that has ended."""


@dataclass
class Fal(SigningProvider):
    server: FalServer
    model: str = f"{fal_server.APP}/mini"

    @override
    def renew_key(self) -> None:
        self.server.key = Ed25519PrivateKey.generate()

    @override
    def tasks(self) -> list[Any]:
        return list(self.server.requests.values())

    @override
    def task_id(self, task: Any) -> str:
        return fal_server.task_id_of(task.request_id)

    @override
    def strange_task(self) -> Any:
        task = fal_server.Request(request_id=STRANGE_TASK, endpoint=self.model, input={}, webhook=None)
        task.complete()
        return task

    @override
    def callback(self, task: Any, *, age_seconds: float = 0.0, wrong_key: bool = False) -> Callback:
        key = Ed25519PrivateKey.generate() if wrong_key else None
        return self.server.callback(task, at=time.time() - age_seconds, key=key)


@dataclass
class Replicate(SigningProvider):
    server: ReplicateServer
    model: str = "bytedance/seedance-2.0-mini"

    @override
    def renew_key(self) -> None:
        self.server.secret = replicate_server.new_secret()

    @override
    def tasks(self) -> list[Any]:
        return list(self.server.predictions.values())

    @override
    def task_id(self, task: Any) -> str:
        return str(task.id)

    @override
    def strange_task(self) -> Any:
        task = self.server.accept(self.model, {}, webhook=None)
        task.complete()
        del self.server.predictions[task.id]
        return task

    @override
    def callback(self, task: Any, *, age_seconds: float = 0.0, wrong_key: bool = False) -> Callback:
        secret = replicate_server.new_secret() if wrong_key else None
        return self.server.callback(task, at=time.time() - age_seconds, secret=secret)


@asynccontextmanager
async def open_fal() -> AsyncIterator[SigningProvider]:
    async with FalServer() as server, aiohttp.ClientSession() as session:
        made = Fal(server=server)
        made.provider = FalProvider(
            session=session,
            base_url=server.base_url,
            api_key=fal_server.API_KEY,
            keys_url=server.keys_url,
            clock=lambda: made.clock,
        )
        yield made


@asynccontextmanager
async def open_replicate() -> AsyncIterator[SigningProvider]:
    async with ReplicateServer() as server, aiohttp.ClientSession() as session:
        made = Replicate(server=server)
        made.provider = ReplicateProvider(
            session=session,
            base_url=server.base_url,
            api_key=replicate_server.API_KEY,
            clock=lambda: made.clock,
        )
        yield made

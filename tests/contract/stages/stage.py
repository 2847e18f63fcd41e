"""What one suite needs to know of each provider: its words for situations that all of them have.

A provider adds a module here with a `STAGE`; nothing else registers it.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import aiohttp

from services.upstream.features import Features
from services.upstream.kind import Kind
from services.upstream.provider import Order, Provider
from tests.fakes.provider_server import ProviderServer, Reply

RECORDINGS: Final = Path(__file__).parents[2] / "recordings"

SITUATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accepted": "a submission is answered with `Stage.task_id`",
        "refused_parameters": "a submission is refused for its parameters",
        "refused_content": "a submission is refused for its content",
        "unknown_model": "a submission names a model that is not there",
        "busy": "any call comes too soon, and is not told when to come back",
        "busy_for_7_seconds": "any call is to come back in 7 seconds",
        "bad_credential": "any call has a wrong key",
        "no_money": "any call is refused because the account has no money",
        "broken_inside": "any call meets an internal error",
        "queued": "a task waits",
        "running": "a task is being rendered",
        "new_status": "a task has a status that is documented nowhere",
        "succeeded": "a task has a result",
        "succeeded_without_media": "a task is said to have succeeded, and names no video",
        "failed_content": "a task failed because of its content",
        "failed_inside": "a task failed by the provider's own fault",
        "failed_unexplained": "a task failed for a reason that is documented nowhere",
        "expired": "a task waited or ran too long",
        "cancelled": "a task was stopped",
        "forgotten": "a task that the provider does not know",
        "stops_queued": "everything that `cancel` meets until a waiting task is stopped",
        "keeps_running": "everything that `cancel` meets if the task cannot be stopped any more",
        "listed": "everything that `find` meets until it has found `Stage.task_id`",
        "not_listed": "everything that `find` meets until it knows that there is no such task",
    }
)
"""Each is a sequence of replies: everything that one call of the port meets."""


@dataclass(frozen=True, kw_only=True)
class Callback:
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is particular to a provider."""

    kind: Kind
    server: Callable[[], ProviderServer]
    """The faithful fake."""
    order: Order
    orders: tuple[Order, ...]
    """Whatever a strict server has to take, at least one for each feature of the kind: see `varied`."""
    task_id: str
    """Of the recordings."""
    situations: Mapping[str, tuple[Reply, ...]]
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Situations that the provider does not have, and why."""
    correlation_id: str = "att_1"
    """Of the recordings, if the provider keeps one."""
    created_at: float = 1772352000
    api_key: str = "secret-key"
    """The only one that the server takes."""
    opened_with: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    """What the adapter takes for tests besides, such as `sleep`, given the server."""
    callbacks: Callable[[Any], tuple[Callback, ...]] = lambda _: ()
    """Genuine ones of the server, about `task_id`."""
    forgeries: Callable[[Any], tuple[Callback, ...]] = lambda _: ()
    """For a provider that signs: what must be taken for nothing."""
    signs: bool = False

    @property
    def name(self) -> str:
        return self.kind.name


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A stage with its server running and its adapter open."""

    stage: Stage
    server: ProviderServer
    provider: Provider
    session: aiohttp.ClientSession

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        return self.stage.callbacks(self.server)

    def will(self, situation: str, *, times: int = 1) -> None:
        self.server.will(*self.stage.situations[situation] * times)

    def opened_with(self, api_key: str) -> Provider:
        return _open(self.stage, self.server, self.session, api_key)


@asynccontextmanager
async def open_scene(stage: Stage) -> AsyncIterator[Scene]:
    async with stage.server() as server, aiohttp.ClientSession() as session:
        provider = _open(stage, server, session, stage.api_key)
        yield Scene(stage=stage, server=server, provider=provider, session=session)


def all_stages() -> tuple[Stage, ...]:
    """Returns the stage of every module beside this one."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "stage")
    return tuple(import_module(f"tests.contract.stages.{name}").STAGE for name in names)


def recorded(provider: str, name: str, *, status: int = 200, **headers: str) -> Reply:
    """Returns a documented answer."""
    body = (RECORDINGS / provider / f"{name}.json").read_bytes()
    return Reply(status=status, body=body, headers=headers)


def varied(order: Order, features: Features) -> Iterator[Order]:
    """Yields the order, and for every feature one order that uses it."""
    yield order
    yield from (replace(order, resolution=each) for each in sorted(features.resolutions))
    yield from (replace(order, aspect_ratio=each) for each in sorted(features.aspect_ratios))
    yield from (replace(order, duration_seconds=each) for each in sorted(features.seconds))
    yield from (replace(order, generate_audio=each) for each in sorted(features.audio))
    yield from (replace(order, watermark=each) for each in sorted(features.watermark))
    yield replace(order, return_last_frame=True)
    yield replace(order, prompt="x" * features.prompt_characters)
    if features.start_frame:
        yield replace(order, start_image_url="https://in.example/start.png")
    if features.end_frame:
        yield replace(
            order,
            start_image_url="https://in.example/start.png",
            end_image_url="https://in.example/end.png",
        )
    if features.image_references:
        yield replace(order, image_urls=_files("image", features.image_references))
    if features.video_references:
        yield replace(order, video_urls=_files("video", features.video_references))
    if features.audio_references:
        yield replace(
            order,
            image_urls=_files("image", 1),
            audio_urls=_files("audio", features.audio_references),
        )
    if features.image_references:
        yield _with_all_references(order, features)


def _with_all_references(order: Order, features: Features) -> Order:
    """Returns an order with as many files of all kinds as go together."""
    images = features.image_references
    videos = min(features.video_references, features.references - images)
    audios = min(features.audio_references, features.references - images - videos)
    return replace(
        order,
        image_urls=_files("image", images),
        video_urls=_files("video", videos),
        audio_urls=_files("audio", audios),
    )


async def no_wait(seconds: float) -> None:
    """Stands for `asyncio.sleep`."""


def _open(stage: Stage, server: ProviderServer, session: aiohttp.ClientSession, api_key: str) -> Provider:
    return stage.kind.open(
        session=session, base_url=server.base_url, api_key=api_key, **stage.opened_with(server)
    )


def _files(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f"https://in.example/{kind}/{number}" for number in range(count))

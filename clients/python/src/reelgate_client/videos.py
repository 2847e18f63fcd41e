"""Videos: a handle of each, with what can be done with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from reelgate_client.core import Core, D, Resource, new_key
from reelgate_client.drivers import Plan, iteration, operation
from reelgate_client.errors import InvalidRequestError, ReelgateError, VideoFailedError, WaitInterrupted
from reelgate_client.events import Event, follow, poll_until
from reelgate_client.transfers import save
from reelgate_client.types import nextapi, seedancee2

if TYPE_CHECKING:
    from typing_extensions import Unpack

J = TypeVar("J", bound=Mapping[str, Any])
"""The JSON of a video, by the contract."""
OfSeedancee2: TypeAlias = seedancee2.CreatedVideo | seedancee2.Video
OfNextAPI: TypeAlias = nextapi.CreateJobResponse | nextapi.Job
WAIT_SECONDS = 900.0
REFERENCES = ("image_urls", "video_urls", "audio_urls", "video_url", "start_image_url", "end_image_url")


class Video(Resource[D], Generic[D, J]):
    """A handle of one video. It shows what the last answer said; `refresh`, `wait` and `events` bring news."""

    def __init__(self, core: Core[D], data: J, *, idempotency_key: str | None = None) -> None:
        super().__init__(core)
        self.data = data
        """The contract's own JSON."""
        self.idempotency_key = idempotency_key
        """Of the creation, if `create` returned this handle."""
        self.progress: int = 0
        """0 to 100, estimated from time."""
        self.took(data)

    def __repr__(self) -> str:
        return f"<Video {self.id} {self.status}>"

    @property
    def id(self) -> str:
        """Returns the id."""
        return str(self.data["id"])

    @property
    def status(self) -> str:
        """Returns the status, by the contract's name."""
        return str(self.data["status"])

    @property
    def running(self) -> bool:
        """Returns whether it goes on. With a status that this client does not know, it does not."""
        return self.status in self.core.contract.running

    @property
    def succeeded(self) -> bool:
        """Returns whether there is a video to download."""
        return self.status == self.core.contract.succeeded

    @property
    def path(self) -> str:
        """Returns where the API has it."""
        return f"{self.core.contract.videos_path}/{self.id}"

    def url(self, file: str = "video") -> str:
        """Returns the address of its `video`, `thumbnail` or `last_frame`. Raises ReelgateError if there is none."""
        found = self.data.get("output", self.data).get(f"{file}_url")
        if found is None:
            raise ReelgateError(f"{self.id} is {self.status} and has no {file}")
        return str(found)

    def took(self, data: Any) -> None:
        """Shows from now on what an answer said."""
        self.data = data
        self.progress = 100 if self.succeeded else data.get("progress", self.progress)

    async def poll(self, **options: Any) -> None:
        """Asks for the present state."""
        self.took(bare(self.core, await self.core.json("GET", self.path, **options)))

    @operation
    async def refresh(self) -> Video[D, J]:
        """Asks for the present state. Returns this handle."""
        await self.poll()
        return self

    @operation
    async def wait(
        self,
        timeout: float = WAIT_SECONDS,
        on_progress: Callable[[Video[D, J]], Any] | None = None,
        *,
        raise_on_failure: bool = True,
    ) -> Video[D, J]:
        """Waits until it has ended. Returns this handle.

        Calls `on_progress` with this handle, at once and with all news. Raises WaitTimeoutError after `timeout` seconds,
        WaitInterrupted at Ctrl-C (in both cases the video goes on), and VideoFailedError if it did not succeed.
        """
        deadline = self.core.clock() + timeout
        try:
            if on_progress is None:
                await poll_until(self, deadline)
            else:
                await self.core.driver.settled(on_progress(self))
                async with aclosing(follow(self, deadline)) as events:
                    async for _ in events:
                        await self.core.driver.settled(on_progress(self))
        except KeyboardInterrupt:
            raise WaitInterrupted(self) from None
        if raise_on_failure and not self.succeeded:
            raise VideoFailedError(self)
        return self

    @iteration
    def events(self, timeout: float = WAIT_SECONDS) -> AsyncGenerator[Event, None]:
        """Iterates over its events until it has ended, through lost connections; this handle follows them.

        Raises WaitTimeoutError after `timeout` seconds.
        """
        return follow(self, self.core.clock() + timeout)

    @operation
    async def cancel(self) -> Video[D, J]:
        """Stops it. Returns this handle. Raises ConflictError if it can no longer be stopped."""
        self.took(bare(self.core, await self.core.json("POST", f"{self.path}/cancel")))
        return self

    @operation
    async def delete(self) -> dict[str, Any]:
        """Deletes what is kept of a video that has ended: its media, prompt, references and metadata."""
        deleted: dict[str, Any] = bare(self.core, await self.core.json("DELETE", self.path))
        return deleted

    @operation
    def download(self, path: str | Path, *, file: str = "video") -> Plan[Path]:
        """Saves its `video`, `thumbnail` or `last_frame` as `path`, which appears when it is complete. Returns the path.

        What a lost connection leaves in a `.part` file beside it is continued, by a later call too.
        """
        return save(self, Path(path), file)


class Videos(Resource[D], Generic[D, J]):
    """What both contracts do with videos."""

    def handle(self, data: Any) -> Video[D, J]:
        """Returns a handle that shows `data`."""
        return Video(self.core, data)

    @operation
    async def get(self, id: str) -> Video[D, J]:
        """Returns a handle of a video that was created before. Raises NotFoundError."""
        path = f"{self.core.contract.videos_path}/{id}"
        return self.handle(bare(self.core, await self.core.json("GET", path)))

    async def created(self, body: Mapping[str, Any], idempotency_key: str | None) -> Video[D, J]:
        """Creates a video once, however often the request has to be sent."""
        check_references(body)
        key = idempotency_key or new_key()
        found = await self.core.json("POST", self.core.contract.videos_path, body, idempotency_key=key)
        return Video(self.core, bare(self.core, found), idempotency_key=key)

    async def generated(
        self, body: Mapping[str, Any], idempotency_key: str | None, *wait: Any
    ) -> Video[D, J]:
        """Creates a video and waits for it, as `wait` does with the rest."""
        video = await self.created(body, idempotency_key)
        await Video.wait.plan(video, *wait)
        return video


class Seedancee2Videos(Videos[D, OfSeedancee2]):
    """Videos of the Seedancee2 contract."""

    @operation
    def create(
        self, /, *, idempotency_key: str | None = None, **body: Unpack[seedancee2.CreateVideoRequest]
    ) -> Plan[Video[D, OfSeedancee2]]:
        """Creates a video: `create(model="mini", input={"prompt": "…"})`. Returns its handle at once."""
        return self.created(body, idempotency_key)

    @operation
    def generate(
        self,
        /,
        *,
        idempotency_key: str | None = None,
        timeout: float = WAIT_SECONDS,
        on_progress: Callable[[Video[D, OfSeedancee2]], Any] | None = None,
        **body: Unpack[seedancee2.CreateVideoRequest],
    ) -> Plan[Video[D, OfSeedancee2]]:
        """Creates a video and waits for it, as `wait` does. Returns its handle when it is completed."""
        return self.generated(body, idempotency_key, timeout, on_progress)

    @operation
    def estimate(self, /, **body: Unpack[seedancee2.CreateVideoRequest]) -> Plan[seedancee2.VideoEstimate]:
        """Returns what a creation with the same arguments would cost, and whether the balance covers it."""
        check_references(body)
        return self.core.data("POST", "/v1/videos/estimates", body)

    @iteration
    def list(
        self, /, **query: Unpack[seedancee2.ListVideosQuery]
    ) -> AsyncGenerator[Video[D, OfSeedancee2], None]:
        """Iterates over all videos, newest first. `limit` is how many are asked for at once."""
        return self.core.pages(self.core.contract.videos_path, query, self.handle)


class NextAPIVideos(Videos[D, OfNextAPI]):
    """Videos of the NextAPI contract, which calls them jobs."""

    @operation
    def create(
        self, /, *, idempotency_key: str | None = None, **body: Unpack[nextapi.CreateJobRequest]
    ) -> Plan[Video[D, OfNextAPI]]:
        """Creates a video: `create(model="seedance-2.0-mini", prompt="…")`. Returns its handle at once."""
        return self.created(body, idempotency_key)

    @operation
    def generate(
        self,
        /,
        *,
        idempotency_key: str | None = None,
        timeout: float = WAIT_SECONDS,
        on_progress: Callable[[Video[D, OfNextAPI]], Any] | None = None,
        **body: Unpack[nextapi.CreateJobRequest],
    ) -> Plan[Video[D, OfNextAPI]]:
        """Creates a video and waits for it, as `wait` does. Returns its handle when it has succeeded."""
        return self.generated(body, idempotency_key, timeout, on_progress)

    @iteration
    def list(self, /, **query: Unpack[nextapi.ListVideosQuery]) -> AsyncGenerator[Video[D, OfNextAPI], None]:
        """Iterates over all videos, newest first, each once. `limit` is how many are asked for at once."""
        return self.core.pages(self.core.contract.videos_path, query, self.handle)


def bare(core: Core[Any], answer: Mapping[str, Any]) -> Any:
    """Returns the video in an answer of the contract."""
    return answer["data"] if core.contract.enveloped else answer


def check_references(body: Mapping[str, Any]) -> None:
    """Raises InvalidRequestError if a reference is a file of this machine instead of an address."""
    for place, fields in (("input.", body.get("input") or {}), ("", body)):
        for name in REFERENCES:
            value = fields.get(name) or ()
            for each in [value] if isinstance(value, str | Path) else value:
                if isinstance(each, Path) or "://" not in str(each):
                    raise InvalidRequestError(
                        f"{place}{name} is an address, and {str(each)!r} is a path: upload the file first, as in "
                        f"{name}=client.uploads.create({str(each)!r}).url"
                    )

"""The interface to providers of video: what jobs asks, and the answers that a provider may give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

TASK_SECONDS_MAX = 72 * 3600
"""No provider keeps a task longer, queued or running. If a provider might, its adapter must end the task.

ModelArk's `execution_expires_after` is at most this, and 48 hours in an order without it. We leave it out, because the
fast model is reported to refuse orders that have it.
"""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One render, fully resolved: a provider has no defaults left to choose."""

    model: str
    """The provider's own name for the model."""
    prompt: str
    duration_seconds: int
    resolution: str
    aspect_ratio: str
    generate_audio: bool
    watermark: bool
    return_last_frame: bool
    seed: int
    image_urls: tuple[str, ...] = ()
    video_urls: tuple[str, ...] = ()
    audio_urls: tuple[str, ...] = ()
    start_image_url: str | None = None
    end_image_url: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """What the route asks of the provider beyond the job. `Kind.options` says which an adapter knows."""

    @property
    def references(self) -> tuple[str, ...]:
        """All addresses, in the order that `BadReference` counts."""
        frames = (self.start_image_url, self.end_image_url)
        return (*(url for url in frames if url), *self.image_urls, *self.video_urls, *self.audio_urls)


@dataclass(frozen=True, kw_only=True)
class Pending:
    """The provider has not finished. `running` is false while it only queues the task."""

    running: bool


@dataclass(frozen=True, kw_only=True)
class Done:
    """The provider has a result. The address is the provider's own and must never reach a customer."""

    video_url: str
    ended_at: datetime | None = None
    """When the provider had it, by the provider's clock. None: it does not say."""


class RefusalKind(StrEnum):
    """Why a provider will not, or did not, deliver. Retrying the same order cannot help."""

    PARAMETERS = "parameters"
    CONTENT = "content"
    INPUT_MEDIA = "input_media"
    EXPIRED = "expired"
    UNAVAILABLE = "unavailable"
    """The provider's own fault, such as an internal error or no capacity: another provider may deliver."""
    FAILED = "failed"
    """No reason is known."""


class ReferenceFault(StrEnum):
    """Why a file cannot be used."""

    NOT_FETCHED = "not_fetched"
    NOT_READABLE = "not_readable"
    OUT_OF_BOUNDS = "out_of_bounds"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class BadReference:
    """What a provider says about a file of an order that it could not use."""

    position: int | None = None
    """Which of the order's references, from 0. None: the provider does not say."""
    is_image: bool = False
    """Whether the provider says that the file is an image."""
    fault: ReferenceFault = ReferenceFault.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The provider ended the task without a result. `detail` is for operators only."""

    kind: RefusalKind
    detail: str = ""
    reference: BadReference = BadReference()
    """For INPUT_MEDIA."""


@dataclass(frozen=True, kw_only=True)
class Hint:
    """What a callback says: look at this task."""

    task_id: str
    is_authentic: bool
    """Whether the provider surely sent it. If not, anybody may have, and only `carries` tells whose task it is."""


class UpstreamError(Exception):
    """A call to a provider gave no answer about the task. `detail` is for operators only."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RefusedError(UpstreamError):
    """The order was refused at submission: nothing was started, and the same order will be refused again."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.kind}: {refused.detail}")
        self.refused = refused


class BusyError(UpstreamError):
    """The provider asks to come back later: nothing was started."""

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class UnreachableError(UpstreamError):
    """The request had no effect (no connection, or an answer that says so): retry."""


class UnknownError(UpstreamError):
    """The render may have started although no usable answer came: look for it before submitting again."""


class UnsearchableError(UpstreamError):
    """The provider lists no tasks, or keeps nothing of ours with them: only an authentic callback names a lost one."""


class BrokenCause(StrEnum):
    """What an operator must mend."""

    CREDENTIAL = "credential"
    """The key is wrong, or may not do this."""
    QUOTA = "quota"
    """The account has no money or no allowance left."""
    MODEL = "model"
    """The model, endpoint or address of the route is not there, or closed to us."""


class BrokenError(UpstreamError):
    """Our credential, account or configuration is at fault: an operator must act. Nothing was started."""

    def __init__(self, detail: str, *, cause: BrokenCause) -> None:
        super().__init__(detail)
        self.cause = cause


class Provider(Protocol):
    """A provider of video. Handles (`task_id`) are opaque outside its adapter."""

    async def submit(
        self, order: Order, *, correlation_id: str, callback_url: str | None, timeout_seconds: float
    ) -> str:
        """Starts one render and returns its task id. Never retries.

        `correlation_id` (at most 64 characters) is attached so that `find` can recognise the task.
        Raises RefusedError, BusyError, UnreachableError, UnknownError or BrokenError.
        """

    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """Returns the id of the task that carries the correlation id, or None if there is certainly none.

        `model` is what the order named; `created_after` (Unix seconds) bounds the search.
        Raises BusyError, UnreachableError, BrokenError or UnsearchableError.
        """

    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """Returns whether a task has the correlation id.

        Raises BusyError, UnreachableError, BrokenError or UnsearchableError.
        """

    async def check(self, task_id: str, *, timeout_seconds: float) -> Pending | Done | Refused:
        """Returns where the task is now. A task the provider no longer knows is Refused(EXPIRED).

        Raises BusyError, UnreachableError or BrokenError.
        """

    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Asks the provider to stop a task. True: the task has ended without a result. False: it runs on.

        Repeating it is harmless. Raises BusyError, UnreachableError or BrokenError; the task may then have been stopped.
        """

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns what a callback says. None: it names no task, or should prove its origin and does not.

        `headers` have lower-case names; `model` is what the order named. May fetch what signatures are checked with, and
        raises UnreachableError if it cannot.
        """

    def media_headers(self, url: str) -> Mapping[str, str]:
        """Returns what to send when a result is fetched: the credential if the address has the API's origin, else nothing.

        After a redirect, ask again.
        """

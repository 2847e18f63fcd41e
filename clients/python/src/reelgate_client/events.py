"""How a video is followed to its end: by polls that the API holds open, or by its server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reelgate_client import errors
from reelgate_client.drivers import whole
from reelgate_client.errors import WaitTimeoutError, error_in, error_of

if TYPE_CHECKING:
    from reelgate_client.videos import Video

SLICE_SECONDS = 60
"""The longest wait that the API holds open."""
RETRIES = 10
"""Failures in a row that a wait survives: about a minute."""
QUIET_SECONDS = 30.0
"""A stream that says nothing for so long is opened again; the API says something every 15."""
BRIEF_SECONDS = 5.0
"""A stream that ends sooner is opened again more slowly each time."""
PASSING = (errors.ConnectionFailedError, errors.RateLimitError, errors.ServerError)


@dataclass(frozen=True)
class Event:
    """One event of a video: `status`, `progress` or `end`."""

    type: str
    data: Any
    """As the API sent it: what a poll answers, and for `progress` its `id` and `progress`."""
    id: str = ""


async def poll_until(video: Video[Any, Any], deadline: float) -> None:
    """Polls until a video has ended. Raises WaitTimeoutError at the deadline."""
    core = video.core
    early = 0
    while video.running:
        asked = core.clock()
        left = deadline - asked
        if left <= 0:
            raise WaitTimeoutError(video)
        wait = min(SLICE_SECONDS, int(left))
        timeout = min(wait + core.timeout, left + 1)
        try:
            await video.poll(params={"wait": wait}, timeout=timeout, retries=RETRIES, deadline=deadline)
        except PASSING as error:
            if core.clock() + core.pause(RETRIES, error) < deadline:
                raise
            raise WaitTimeoutError(video) from error
        # The API may answer early, when very many wait. Asking again at once would only add to that.
        early = early + 1 if core.clock() - asked < 1 else 0
        if early and video.running:
            await core.driver.sleep(min(core.pause(early), max(0.0, deadline - core.clock())))


async def follow(video: Video[Any, Any], deadline: float) -> AsyncGenerator[Event, None]:
    """Yields the events of a video until it has ended, and has the video show them.

    A lost connection is opened again where it ended. Raises WaitTimeoutError at the deadline.
    """
    core = video.core
    last_id = ""
    failures = 0
    while (left := deadline - (opened := core.clock())) > 0:
        try:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": last_id or None}
            path, quiet = f"{video.path}/events", min(QUIET_SECONDS, left)
            async with core.driver.open(core.request("GET", path, headers=headers, timeout=quiet)) as stream:
                if stream.status != 200 and (error := error_of(await whole(stream))) is not None:
                    raise error
                parser = Parser()
                while (chunk := await stream.read()) and core.clock() < deadline:
                    for event in parser.feed(chunk):
                        if event.type == "error":
                            raise error_in(event.data, status=500)
                        last_id = event.id or last_id
                        _took(video, event)
                        yield event
                        if event.type == "end":
                            return
        except PASSING:
            if failures >= RETRIES:
                raise
        failures = failures + 1 if core.clock() - opened < BRIEF_SECONDS else 0
        await core.driver.sleep(max(0.0, min(core.pause(failures), deadline - core.clock())))
    raise WaitTimeoutError(video)


def _took(video: Video[Any, Any], event: Event) -> None:
    if event.type == "progress":
        video.progress = event.data.get("progress", video.progress)
    else:
        video.took(event.data["data"] if video.core.contract.enveloped else event.data)


class Parser:
    """Makes events of the bytes of a stream."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[str, str] = {}

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yields the events that the next bytes complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            name, colon, value = line.removesuffix(b"\r").decode().partition(":")
            if name:
                before = f"{self._fields['data']}\n" if name == "data" and "data" in self._fields else ""
                self._fields[name] = before + value.removeprefix(" ")
            elif not colon:
                fields, self._fields = self._fields, {}
                if "data" in fields:
                    data = json.loads(fields["data"])
                    yield Event(fields.get("event", "message"), data, fields.get("id", ""))

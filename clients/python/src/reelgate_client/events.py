"""How a video is followed to its end: by polls that the API holds open, or by its server-sent events."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reelgate_client.effects import Answer, Open, Plan, Read, Sleep
from reelgate_client.errors import (
    ConnectionFailedError,
    RateLimitError,
    ServerError,
    WaitTimeoutError,
    error_in,
    error_of,
)

if TYPE_CHECKING:
    from reelgate_client.videos import Video

SLICE_SECONDS = 60
"""The longest wait that the API holds open."""
RETRIES = 10
"""Failures in a row that a wait survives: about a minute."""
QUIET_SECONDS = 30.0
"""A stream that says nothing for so long is opened again; the API says something every 15."""
PASSING = (ConnectionFailedError, RateLimitError, ServerError)


@dataclass(frozen=True)
class Event:
    """One event of a video: `status`, `progress` or `end`."""

    type: str
    data: Any
    """As the API sent it: what a poll answers, and for `progress` its `id` and `progress`."""
    id: str = ""


def poll_until(video: Video[Any, Any], deadline: float) -> Plan[None]:
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
            yield from video.poll(params={"wait": wait}, timeout=timeout, retries=RETRIES, deadline=deadline)
        except PASSING as error:
            if core.clock() + core.pause(RETRIES, error) < deadline:
                raise
            raise WaitTimeoutError(video) from error
        # The API may answer early, when very many wait. Asking again at once would only add to that.
        early = early + 1 if core.clock() - asked < 1 else 0
        if early:
            yield Sleep(min(core.pause(early), max(0.0, deadline - core.clock())))


def follow(
    video: Video[Any, Any], deadline: float, deliver: Callable[[Event], Any]
) -> Generator[Any, Any, None]:
    """Reads the events of a video until it has ended, and yields what `deliver` makes of each.

    A lost connection is opened again where it ended. Raises WaitTimeoutError at the deadline.
    """
    core = video.core
    last_id = ""
    failures = 0
    while True:
        try:
            yield from _open(video, deadline, last_id)
            parser = Parser()
            while chunk := (yield Read()):
                for event in parser.feed(chunk):
                    if event.type == "error":
                        raise error_in(event.data, status=500)
                    failures = 0
                    last_id = event.id or last_id
                    _took(video, event)
                    yield deliver(event)
                    if event.type == "end":
                        return
                if core.clock() >= deadline:
                    raise WaitTimeoutError(video)
        except PASSING:
            failures += 1
            if failures > RETRIES:
                raise
        left = deadline - core.clock()
        if left <= 0:
            raise WaitTimeoutError(video)
        yield Sleep(min(core.pause(failures), left))


def _open(video: Video[Any, Any], deadline: float, last_id: str) -> Plan[None]:
    core = video.core
    request = core.request("GET", f"{video.path}/events")
    headers = {**request.headers, "Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    timeout = max(0.1, min(QUIET_SECONDS, deadline - core.clock()))
    answer: Answer = yield Open(replace(request, headers=headers, timeout=timeout))
    if (error := error_of(answer)) is not None:
        raise error
    core.noted(answer)


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
                    yield Event(
                        fields.get("event", "message"), json.loads(fields["data"]), fields.get("id", "")
                    )

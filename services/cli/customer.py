"""One video, as a customer requests it: created, polled and saved over REST."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from services.cli.errors import CommandError
from services.cli.video_request import CONTENT_TYPES, UPLOADS_PATH, VIDEOS_PATH
from services.common.egress.policy import ForbiddenUrlError, UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.session_failures import session_failure_text
from services.common.egress.urls import origin_of, outgoing_url

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0)
CONNECTIONS_MAX = 4
ANSWER_BYTES_MAX = 1024 * 1024
VIDEO_BYTES_MAX = 2 * 1024**3
CHUNK_BYTES = 256 * 1024
POLL_SECONDS_FIRST = 0.3
POLL_SECONDS_MAX = 5.0
POLL_GROWTH = 1.3
POLL_FAILURES_MAX = 20
"""Consecutive polls that may fail, so that a restart of the edge does not end the wait."""
JOB_SECONDS_MAX = 2 * 3600.0
QUIET_SECONDS = 30.0
"""After this long without a change of status, the person waiting is told where to look."""
RETRYABLE_STATUSES = frozenset({429, 500, 502, 503, 504})


class UnansweredError(CommandError):
    """The call got no answer that follows the contract; a repeated call may."""


class Customer:
    """A client of the Seedancee2 contract. Every method raises CommandError with what went wrong."""

    def __init__(self, session: aiohttp.ClientSession, *, target: str, key: str) -> None:
        self._session = session
        self._videos_url = target.rstrip("/") + VIDEOS_PATH
        self._uploads_url = target.rstrip("/") + UPLOADS_PATH
        # Not on the session: the key is for the API, never for a media address.
        self._headers = {"Authorization": f"Bearer {key}"}

    async def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Submits a task, once: a create without an answer may have been accepted. Returns the accepted task."""
        return await self._call("POST", self._videos_url, request)

    async def upload(self, path: Path) -> str:
        """Sends an image. Returns what names it in a request."""
        announced = {"content_type": CONTENT_TYPES[path.suffix.lower()], "size_bytes": _size_of(path)}
        upload = await self._call("POST", self._uploads_url, announced)
        put = upload["put"]
        try:
            with path.open("rb") as file:
                async with self._session.put(
                    outgoing_url(put["url"]), data=file, headers=put["headers"], timeout=TIMEOUT
                ) as response:
                    body = b"".join([chunk async for chunk in _bounded(response, ANSWER_BYTES_MAX)])
        except ForbiddenUrlError as error:
            raise CommandError(f"Cannot upload {path}: the address {error.why}.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise CommandError(f"Cannot upload {path}: {session_failure_text(error)}.") from error
        if response.status not in {200, 201}:
            raise CommandError(f"{path} was not taken: {_reason(response.status, body)}")
        return str(upload["url"])

    async def wait(
        self,
        video_id: str,
        *,
        show: Callable[[str], None],
        notice: Callable[[str], None] = lambda _status: None,
    ) -> dict[str, Any]:
        """Polls a task until it is completed, calling `show` with each status. Returns the completed task.

        Calls `notice` with a status that has not changed for QUIET_SECONDS, once. Gives up after POLL_FAILURES_MAX unanswered polls in a row, and after JOB_SECONDS_MAX.
        """
        clock = asyncio.get_running_loop().time
        pause_seconds, failures, deadline = POLL_SECONDS_FIRST, 0, clock() + JOB_SECONDS_MAX
        status, quiet_at = "", clock() + QUIET_SECONDS
        while clock() < deadline:
            try:
                task = await self._call("GET", f"{self._videos_url}/{video_id}")
            except UnansweredError:
                failures += 1
                if failures == POLL_FAILURES_MAX:
                    raise
            else:
                failures = 0
                show(task["status"])
                if task["status"] != status:
                    status, quiet_at = task["status"], clock() + QUIET_SECONDS
                elif clock() > quiet_at:
                    notice(status)
                    quiet_at = deadline
                if task["status"] == "completed":
                    return task
                if task["status"] == "failed":
                    raise CommandError(f"{video_id} failed: {task['error']['message']}")
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)
        raise CommandError(f"{video_id} has not ended after {JOB_SECONDS_MAX / 3600:.0f} hours.")

    async def save(self, url: str, target: Path) -> None:
        """Streams a file to `target`, which appears only when it is complete."""
        draft = target.with_name(f"{target.name}.part")
        try:
            async with self._session.get(outgoing_url(url), timeout=TIMEOUT) as response:
                if response.status != 200:
                    raise CommandError(f"{url} answered {response.status}.")
                with draft.open("wb") as file:
                    async for chunk in _bounded(response, VIDEO_BYTES_MAX):
                        file.write(chunk)
            draft.replace(target)
        except ForbiddenUrlError as error:
            raise CommandError(f"Cannot save {url}: the address {error.why}.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise CommandError(f"Cannot save {url} as {target}: {session_failure_text(error)}.") from error
        finally:
            draft.unlink(missing_ok=True)

    async def _call(self, method: str, url: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with self._session.request(
                method, outgoing_url(url), json=request, headers=self._headers, timeout=TIMEOUT
            ) as response:
                body = b"".join([chunk async for chunk in _bounded(response, ANSWER_BYTES_MAX)])
        except (aiohttp.ClientError, OSError) as error:
            raise UnansweredError(f"{url} does not answer: {session_failure_text(error)}.") from error
        return _task(response.status, body, url)


@asynccontextmanager
async def open_customer(*, target: str, key: str) -> AsyncIterator[Customer]:
    """Opens a customer of the edge at `target`, such as `http://127.0.0.1:8080`. Media elsewhere must be public.

    Raises CommandError when `target` is no address.
    """
    try:
        policy = UrlPolicy(origins_trusted=frozenset({origin_of(target)}))
    except ValueError as error:
        raise CommandError(f"{error}.") from None
    async with open_egress_session(policy, connections_max=CONNECTIONS_MAX) as session:
        yield Customer(session, target=target, key=key)


async def _bounded(response: aiohttp.ClientResponse, bytes_max: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > bytes_max:
            raise CommandError(f"{response.url} answered with more than {bytes_max} bytes.")
        yield chunk


def _task(status: int, body: bytes, url: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
        if status == 200:
            task: dict[str, Any] = answer["data"]
            return task
        message = str(answer["error"]["message"])
    except (ValueError, LookupError, TypeError):
        raise UnansweredError(f"{url} answered {status}, and not as the contract says.") from None
    raise (UnansweredError if status in RETRYABLE_STATUSES else CommandError)(message)


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _reason(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"the answer was {status}."

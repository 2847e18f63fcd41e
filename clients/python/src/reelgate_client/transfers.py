"""Files: media that are saved, and uploads. Neither request carries the API key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelgate_client.core import USER_AGENT, Core
from reelgate_client.effects import Answer, Open, Plan, Read, Request, Send, Sleep
from reelgate_client.errors import ConnectionFailedError, ReelgateError, error_of

if TYPE_CHECKING:
    from reelgate_client.videos import Video

RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
UPLOAD_SECONDS = 60.0


def save(video: Video[Any, Any], target: Path, file: str) -> Plan[Path]:
    """Saves a file of a video, which appears at `target` when it is complete."""
    # Media of a video never change, so what another call left is the beginning of the same file.
    part = target.with_name(f"{target.name}.{video.id}.{file}.part")
    core = video.core
    failures, renewed = 0, False
    while True:
        before = _size(part)
        try:
            if (yield from _fetched(video.url(file), part, core.timeout)):
                part.replace(target)
                return target
            error: ReelgateError = ConnectionFailedError(f"{video.url(file)} ended after {_size(part)} bytes")
        except ReelgateError as failed:
            error = failed
        if error.status == 403 and not renewed:
            renewed = True  # a signed address has its time; a poll shows a new one
            yield from video.poll()
            continue
        failures = 1 if _size(part) > before else failures + 1
        if failures > core.max_retries or not error.retryable:
            raise error
        yield Sleep(core.pause(failures - 1, error))


def _fetched(url: str, part: Path, timeout: float) -> Plan[bool]:
    """Adds to a file what it lacks. Returns whether it is complete."""
    size = _size(part)
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    answer: Answer = yield Open(Request("GET", url, headers, timeout=timeout, follow_redirects=True))
    ranged = RANGE.fullmatch(answer.headers.get("content-range", ""))
    if answer.status == 416 and ranged is not None and int(ranged[2]) == size:
        return True
    continued = answer.status == 206 and ranged is not None and ranged[1] == str(size)
    if answer.status == 416 or (answer.status == 206 and not continued):
        part.unlink()
        return False
    if (error := error_of(answer)) is not None:
        raise error
    with part.open("ab" if continued else "wb") as file:
        while chunk := (yield Read()):
            file.write(chunk)
    length = answer.headers.get("content-length")
    total = int(ranged[2]) if ranged is not None else int(length) if length is not None else _size(part)
    return _size(part) == total


def put(core: Core[Any], path: Path, target: dict[str, Any]) -> Plan[None]:
    """Sends a file to where an upload takes it."""
    headers = {**target["headers"], "Content-Length": str(path.stat().st_size), "User-Agent": USER_AGENT}
    request = Request("PUT", target["url"], headers, body=path, timeout=max(core.timeout, UPLOAD_SECONDS))
    for attempt in range(core.max_retries + 1):
        try:
            answer: Answer = yield Send(request)
            error = error_of(answer)
        except ConnectionFailedError as failed:
            error = failed
        # After a lost answer, 409 says that the file has arrived.
        if error is None or (error.status == 409 and attempt > 0):
            return
        if not error.retryable or attempt == core.max_retries:
            raise error
        yield Sleep(core.pause(attempt, error))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

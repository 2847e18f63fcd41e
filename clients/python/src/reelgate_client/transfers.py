"""Files: media that are saved, and uploads. Neither request carries the API key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelgate_client.core import USER_AGENT, Core
from reelgate_client.drivers import whole
from reelgate_client.errors import ConnectionFailedError, ReelgateError, error_of

if TYPE_CHECKING:
    from reelgate_client.types.account import UploadTarget
    from reelgate_client.videos import Video

RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")
UPLOAD_SECONDS = 60.0


async def save(video: Video[Any, Any], target: Path, file: str) -> Path:
    """Saves a file of a video, which appears at `target` when it is complete."""
    # Media of a video never change, so what another call left is the beginning of the same file.
    part = target.with_name(f"{target.name}.{video.id}.{file}.part")
    core = video.core
    failures, renewed = 0, False
    while True:
        before = _size(part)
        try:
            if await _fetched(core, video.url(file), part):
                part.replace(target)
                return target
            error: ReelgateError = ConnectionFailedError(f"{target.name} ended after {_size(part)} bytes")
        except ReelgateError as failed:
            error = failed
        if error.status == 403 and not renewed:
            renewed = True  # a signed address has its time; a poll shows a new one
            await video.poll()
            continue
        failures = 1 if _size(part) > before else failures + 1
        if failures > core.max_retries or not error.retryable:
            raise error
        await core.driver.sleep(core.pause(failures - 1, error))


async def _fetched(core: Core[Any], url: str, part: Path) -> bool:
    """Adds to a file what it lacks. Returns whether it is complete."""
    size = _size(part)
    ranges = {"Range": f"bytes={size}-"} if size else {}
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **ranges}
    request = core.driver.built("GET", url, headers, timeout=core.timeout)
    async with core.driver.open(request, follow_redirects=True) as stream:
        ranged = RANGE.fullmatch(stream.headers.get("content-range", ""))
        continued = stream.status == 206 and ranged is not None and ranged[1] == str(size)
        if stream.status == 416 and ranged is not None and int(ranged[2]) == size:
            return True
        if stream.status in {206, 416} and not continued:
            part.unlink()  # noqa: ASYNC240  quick
            return False
        if stream.status >= 300 and (error := error_of(await whole(stream))) is not None:
            raise error
        with part.open("ab" if continued else "wb") as file:
            while chunk := await stream.read():
                file.write(chunk)
        total = ranged[2] if ranged is not None else stream.headers.get("content-length", _size(part))
        return _size(part) == int(total)


async def put(core: Core[Any], path: Path, target: UploadTarget) -> None:
    """Sends a file to where an upload takes it."""
    headers = {**target["headers"], "Content-Length": str(_size(path)), "User-Agent": USER_AGENT}
    timeout = max(core.timeout, UPLOAD_SECONDS)
    # After a lost answer, 409 says that the file has arrived.
    await core.attempts(
        lambda: core.driver.built("PUT", target["url"], headers, path, timeout=timeout), arrived=409
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

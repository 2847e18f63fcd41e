"""Checks a reference that a customer has sent to us: what it is, and whether any provider takes it."""

import asyncio
from pathlib import Path

from services.media.errors import MediaRejectedError
from services.media.file_types import HEAD_BYTES, media_type_of
from services.media.picture_size import picture_size
from services.media.probed import Probed
from services.media.prober import Prober
from services.media.reference_rules import (
    MEDIA_TYPES,
    RATE_MAX,
    RATE_MIN,
    RULES,
    VIDEO_PIXELS_MAX,
    VIDEO_PIXELS_MIN,
    ReferenceKind,
    ReferenceRefusedError,
    check_kind,
    check_length,
    check_picture,
    check_size,
)


async def inspect_reference(path: Path, announced: str, *, prober: Prober) -> None:
    """Returns if a file is what it was announced to be and within the rules of its kind.

    Only headers are read: those of videos and sounds in a process of `prober`, which runs `reference_probe`.
    Raises ReferenceRefusedError, or MediaUnavailableError if the file could not be looked at.
    """
    kind = MEDIA_TYPES[announced]
    await asyncio.to_thread(_check_head, path, announced, kind)
    if kind is ReferenceKind.IMAGE:
        return
    try:
        probed = await prober.probe(path, want_last_frame=False)
    except MediaRejectedError as error:
        form = " with H.264 or H.265" if kind is ReferenceKind.VIDEO else ""
        rule = f"must be a whole {RULES[kind].names} file{form} that can be read"
        raise ReferenceRefusedError(rule) from error
    check_length(probed.duration_seconds)
    if kind is ReferenceKind.VIDEO:
        _check_video(probed)


def _check_head(path: Path, announced: str, kind: ReferenceKind) -> None:
    check_size(path.stat().st_size, kind)
    with path.open("rb") as file:
        media_type = media_type_of(file.read(HEAD_BYTES)) or ""
        check_kind(media_type, kind)
        # What MP4 and MOV are called differs from camera to camera; they are read alike.
        if media_type != announced and kind is not ReferenceKind.VIDEO:
            raise ReferenceRefusedError(f"was announced as {announced}, but it is {media_type}")
        if kind is ReferenceKind.IMAGE:
            check_picture(*picture_size(file, media_type))


def _check_video(probed: Probed) -> None:
    check_picture(probed.width, probed.height)
    if not VIDEO_PIXELS_MIN <= probed.width * probed.height <= VIDEO_PIXELS_MAX:
        raise ReferenceRefusedError(
            f"must have {VIDEO_PIXELS_MIN} to {VIDEO_PIXELS_MAX} pixels; it has {probed.width}x{probed.height}"
        )
    if not RATE_MIN <= probed.frames_per_second <= RATE_MAX:
        raise ReferenceRefusedError(
            f"must have 24 to 60 frames a second; it has {probed.frames_per_second:.1f}"
        )

"""The body of a create request, from what was typed; a local file becomes the url of an upload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.errors import CommandError

VIDEOS_PATH = "/v1/videos/generations"

UPLOADS_PATH = "/v1/uploads"
CONTENT_TYPES = {
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}
"""Of the images that a request may refer to, by extension."""

ToUrl = Callable[[Path], str]
"""Returns what names a local file in a request."""


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """What `reelgate generate` was asked for. For None the contract's default applies."""

    prompt: str
    model: str
    duration: int | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    images: Sequence[str] = ()
    """References: http(s) addresses or paths of local files; so are the two frames."""
    start_image: str | None = None
    end_image: str | None = None
    audio: bool = False
    watermark: bool = False
    seed: int | None = None


def local_files(options: VideoOptions) -> list[Path]:
    """Returns the files that have to be uploaded first. Raises CommandError if one does not exist or is no image."""
    named = (*options.images, options.start_image, options.end_image)
    return [_local_file(image) for image in dict.fromkeys(named) if image and not _is_address(image)]


def video_request(options: VideoOptions, *, to_url: ToUrl) -> dict[str, Any]:
    """Returns the request of the Seedancee2 contract.

    The service validates the values.
    """
    frames = options.start_image or options.end_image
    fields = {
        "prompt": options.prompt,
        "generation_type": "first_and_last_frames" if frames else None,
        "image_urls": [_address(image, to_url) for image in options.images] or None,
        "start_image_url": _address(options.start_image, to_url),
        "end_image_url": _address(options.end_image, to_url),
        "duration": options.duration,
        "resolution": options.resolution,
        "aspect_ratio": options.aspect_ratio,
        "generate_audio": options.audio or None,
        "watermark": options.watermark or None,
        "seed": options.seed,
    }
    return {
        "model": options.model,
        "input": {name: value for name, value in fields.items() if value is not None},
    }


def _address(image: str | None, to_url: ToUrl) -> str | None:
    return image if image is None or _is_address(image) else to_url(Path(image))


def _is_address(image: str) -> bool:
    return image.startswith(("http://", "https://"))


def _local_file(image: str) -> Path:
    path = Path(image)
    if not path.is_file():
        raise CommandError(f"{image} is neither an http(s) address nor a file.")
    if path.suffix.lower() not in CONTENT_TYPES:
        raise CommandError(f"{image} must end in one of {', '.join(CONTENT_TYPES)}.")
    return path

"""The body of a create request, from what was typed; a local file becomes an address of the local stack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.errors import CommandError

VIDEOS_PATH = "/v1/videos/generations"

ToUrl = Callable[[Path], str]
"""Makes a local file reachable. Raises CommandError if that is impossible."""


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


def video_request(options: VideoOptions, *, to_url: ToUrl) -> dict[str, Any]:
    """Returns the request of the Seedancee2 contract. Raises CommandError if a file does not exist.

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
    if image is None or image.startswith(("http://", "https://")):
        return image
    path = Path(image)
    if not path.is_file():
        raise CommandError(f"{image} is neither an http(s) address nor a file.")
    return to_url(path)

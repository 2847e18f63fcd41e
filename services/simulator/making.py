"""Makes a video of an order. Only who renders loads this: it brings FFmpeg, numpy and Pillow."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from services.simulator.content import Medium, Role
from services.simulator.orders import ADAPTIVE, Order
from services.simulator.references import BadImageError
from services.simulator.render import Clip, render_clip
from services.simulator.sizes import RATIO_WITHOUT_IMAGES, frame_size, nearest_ratio
from services.simulator.tasks import Outcome

# ModelArk documentation 1520757.
SIDE_MAX_PIXELS: Final = 6_000
KEPT_SIDE_MAX_PIXELS: Final = 2_048
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


def make(
    order: Order,
    stem: Path,
    files: Sequence[tuple[Medium, bytes]],
    *,
    rate_factor: int,
    cancelled: Callable[[], bool],
) -> Outcome:
    """Writes a video, and its last frame if that is wanted, to `stem` with an ending. Raises BadImageError, RenderCancelledError."""
    images = [(medium.role, open_image(file, position=medium.position)) for medium, file in files]
    ratio = _ratio(order, images)
    clip = _clip(order, ratio, images, rate_factor)
    video, still = (stem.with_name(stem.name + suffix) for suffix in (".mp4", ".png"))
    # It is put in place last, so a file that is there is whole and need not be made again.
    if not video.exists():
        unfinished = video.with_suffix(".part")
        wanted_still = still if order.return_last_frame else None
        render_clip(clip, video=unfinished, still=wanted_still, cancelled=cancelled)
        unfinished.replace(video)
    return Outcome(
        ratio=ratio,
        width=clip.width,
        height=clip.height,
        duration_seconds=clip.duration_seconds,
        stem=f"{stem.parent.name}/{stem.name}",
    )


def open_image(file: bytes, *, position: int) -> Image.Image:
    """The picture in a file, upright, without transparency and no larger than anything made of it. Raises BadImageError."""
    try:
        image = Image.open(io.BytesIO(file), formats=FORMATS)
        if max(image.size) > SIDE_MAX_PIXELS:
            raise BadImageError(position, f"the image side must be at most {SIDE_MAX_PIXELS} pixels")
        picture = ImageOps.exif_transpose(image).convert("RGB")
        # Tiny files may hold huge pictures, and a task has many: only one at a time is there in full size.
        picture.thumbnail((KEPT_SIDE_MAX_PIXELS, KEPT_SIDE_MAX_PIXELS))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "the image could not be parsed"
        raise BadImageError(position, reason, code="InvalidImageURL.InvalidFormat") from error
    return picture


def _clip(order: Order, ratio: str, images: Sequence[tuple[Role, Image.Image]], rate_factor: int) -> Clip:
    width, height = frame_size(order.resolution, ratio)
    by_role = dict(images)
    return Clip(
        prompt=order.prompt,
        seed=order.seed,
        width=width,
        height=height,
        duration_seconds=order.video_seconds,
        audio=order.generate_audio,
        watermark=order.watermark,
        rate_factor=rate_factor,
        first_frame=by_role.get(Role.FIRST_FRAME),
        last_frame=by_role.get(Role.LAST_FRAME),
        references=tuple(image for role, image in images if role is Role.REFERENCE_IMAGE),
    )


def _ratio(order: Order, images: Sequence[tuple[Role, Image.Image]]) -> str:
    if order.ratio != ADAPTIVE:
        return order.ratio
    return nearest_ratio(*images[0][1].size) if images else RATIO_WITHOUT_IMAGES

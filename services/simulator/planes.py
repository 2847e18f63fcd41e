from typing import Any, Final

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from PIL import Image

Plane = np.ndarray[Any, np.dtype[np.uint8]]
Planes = tuple[Plane, ...]

PIXEL_FORMAT: Final = "yuv420p"


def to_video_frame(picture: Plane, *, width: int, height: int, scaler: VideoReformatter) -> VideoFrame:
    """An RGB picture, scaled to that size, as limited-range BT.709 with a quarter of the colour."""
    return scaler.reformat(
        VideoFrame.from_ndarray(picture, format="rgb24"),
        width=width,
        height=height,
        format=PIXEL_FORMAT,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
        interpolation="BICUBIC",
        threads=1,
    )


def planes_of(frame: VideoFrame) -> Planes:
    """The luma and the two chroma planes of a frame, writable in place."""
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        views.append(rows[:, : plane.width])
    return tuple(views)


def fade(frame: Planes, towards: Planes, weight: float) -> None:
    """Mixes a frame with another: weight 0 leaves it alone, weight 1 makes it the other."""
    share = round(weight * 256)
    for plane, other in zip(frame, towards, strict=True):
        mixed = plane.astype(np.uint16) * np.uint16(256 - share)
        mixed += other.astype(np.uint16) * np.uint16(share)
        plane[:] = mixed >> 8


class Layer:
    """A picture with transparency that can be laid over frames of its own size."""

    def __init__(self, image: Image.Image) -> None:
        left, top, right, bottom = image.getchannel("A").getbbox() or (0, 0, 2, 2)
        # Chroma has half the luma's rows and columns, so the cut must fall on even pixels.
        self._left, self._top = left // 2 * 2, top // 2 * 2
        cut = image.crop((self._left, self._top, (right + 1) // 2 * 2, (bottom + 1) // 2 * 2))
        alpha = np.asarray(cut.getchannel("A"), np.uint16)
        alpha = alpha + (alpha >> 7)
        small = alpha.reshape(cut.height // 2, 2, cut.width // 2, 2).sum(axis=(1, 3), dtype=np.uint16) >> 2
        colours = to_video_frame(
            np.asarray(cut.convert("RGB")), width=cut.width, height=cut.height, scaler=VideoReformatter()
        )
        self._colours = tuple(plane.astype(np.uint16) for plane in planes_of(colours))
        self._alphas = (alpha, small, small)

    def paint(self, frame: Planes, *, strength: float = 1) -> None:
        """Lays the picture over the frame, fully or faintly."""
        share = np.uint16(round(strength * 256))
        for index, (plane, colour, full) in enumerate(zip(frame, self._colours, self._alphas, strict=True)):
            halving = 1 if index else 0
            top, left = self._top >> halving, self._left >> halving
            region = plane[top : top + full.shape[0], left : left + full.shape[1]]
            alpha = full if strength == 1 else (full * share) >> 8
            region[:] = (region * (256 - alpha) + colour * alpha) >> 8

from collections.abc import Mapping
from typing import Final

FRAMES_PER_SECOND: Final = 24
RATE_FACTOR: Final = 22
RATIO_WITHOUT_IMAGES: Final = "16:9"

RESOLUTIONS: Final = ("480p", "720p", "1080p", "4k")

# Width and height in pixels by ratio, one pair per resolution in the order above
# (ModelArk documentation 1520757, output sizes of Seedance 2.0).
SIZES: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "16:9": ((864, 496), (1280, 720), (1920, 1080), (3840, 2160)),
    "4:3": ((752, 560), (1112, 834), (1664, 1248), (3326, 2494)),
    "1:1": ((640, 640), (960, 960), (1440, 1440), (2880, 2880)),
    "3:4": ((560, 752), (834, 1112), (1248, 1664), (2494, 3326)),
    "9:16": ((496, 864), (720, 1280), (1080, 1920), (2160, 3840)),
    "21:9": ((992, 432), (1470, 630), (2206, 946), (4398, 1886)),
}


def frame_size(resolution: str, ratio: str) -> tuple[int, int]:
    """Width and height in pixels of a video of that resolution and ratio."""
    return SIZES[ratio][RESOLUTIONS.index(resolution)]


def nearest_ratio(width: int, height: int) -> str:
    """The ratio of the table whose shape is closest to an image of that size."""

    def distance(ratio: str) -> float:
        across, down = (int(side) for side in ratio.split(":"))
        wanted, offered = width / height, across / down
        return max(wanted / offered, offered / wanted)

    return min(SIZES, key=distance)

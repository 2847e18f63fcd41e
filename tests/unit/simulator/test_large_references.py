import io

import pytest
from PIL import Image

from services.simulator.making import KEPT_SIDE_MAX_PIXELS, SIDE_MAX_PIXELS, open_image
from services.simulator.references import BadImageError


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_a_tiny_file_with_a_huge_picture_is_kept_small() -> None:
    file = png(SIDE_MAX_PIXELS, SIDE_MAX_PIXELS // 2)

    picture = open_image(file, position=1)

    assert len(file) < 10_000
    assert picture.size == (KEPT_SIDE_MAX_PIXELS, KEPT_SIDE_MAX_PIXELS // 2)


def test_a_picture_of_a_usual_size_is_kept_as_it_is() -> None:
    assert open_image(png(1_920, 1_080), position=1).size == (1_920, 1_080)


def test_a_picture_beyond_what_is_documented_is_refused() -> None:
    with pytest.raises(BadImageError, match="at most"):
        open_image(png(SIDE_MAX_PIXELS + 1, 1), position=1)

import pytest

from services.simulator.sizes import RESOLUTIONS, SIZES, frame_size, nearest_ratio


def test_every_size_can_be_encoded_with_a_quarter_of_the_colour() -> None:
    sizes = [frame_size(resolution, ratio) for resolution in RESOLUTIONS for ratio in SIZES]

    assert all(width % 2 == 0 and height % 2 == 0 for width, height in sizes)


def test_every_size_has_about_the_shape_of_its_ratio() -> None:
    # 864 by 496 is the documented size furthest from its ratio.
    for ratio, sizes in SIZES.items():
        across, down = map(int, ratio.split(":"))
        for width, height in sizes:
            assert width / height == pytest.approx(across / down, rel=0.025)


@pytest.mark.parametrize(
    ("width", "height", "ratio"),
    [
        (1920, 1080, "16:9"),
        (1000, 1000, "1:1"),
        (3000, 1000, "21:9"),
        (300, 3000, "9:16"),
        (800, 610, "4:3"),
        (610, 800, "3:4"),
    ],
)
def test_an_image_gets_the_nearest_ratio(width: int, height: int, ratio: str) -> None:
    assert nearest_ratio(width, height) == ratio

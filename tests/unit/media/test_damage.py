"""Files that were damaged on their way: what is cut off is always seen, and what is overwritten harms nobody."""

from pathlib import Path

import pytest

from services.media import probe as probing
from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits
from services.media.probed import Probed
from tests.unit.media.clips import make_clip

LIMITS = MediaLimits()
PLACES = 60
SHORT_GAP, LONG_GAP = 16, 4_096


def probe(path: Path) -> Probed:
    with path.open("rb") as file:
        return probing.probe(file.fileno(), want_last_frame=True, limits=LIMITS)


def places(end: int) -> range:
    """Returns some places before an end, all over a file and at no even distance from its tables."""
    return range(7, end, end // PLACES)


@pytest.fixture(scope="module", params=[True, False], ids=["index in front", "index at the end"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    options = {"preset": "ultrafast", "g": "12"}
    folder = tmp_path_factory.mktemp("clips")
    clip = make_clip(
        folder / "clip.mp4", frame_count=48, audio=True, faststart=request.param, options=options
    )
    return clip.read_bytes()


def test_a_file_that_was_cut_off_anywhere_is_rejected(whole: bytes, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    accepted = []
    for length in [*places(len(whole)), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        try:
            probe(cut)
            accepted.append(length)
        except MediaRejectedError:
            continue

    assert accepted == []


@pytest.mark.parametrize("size", [SHORT_GAP, LONG_GAP])
def test_a_range_of_zeros_is_rejected_or_leaves_pictures(whole: bytes, tmp_path: Path, size: int) -> None:
    """What lies between the pictures that are looked at is not decoded: zeros there are not seen."""
    damaged = tmp_path / "damaged.mp4"
    rejected = 0
    for start in places(len(whole) - size):
        damaged.write_bytes(whole[:start] + bytes(size) + whole[start + size :])
        try:
            found = probe(damaged)
        except MediaRejectedError:
            rejected += 1
        else:
            assert found.poster_jpeg.startswith(b"\xff\xd8")
            assert found.last_frame_jpeg is not None

    assert rejected > 0


def test_boxes_without_end_are_rejected(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "boxes.mp4"
    for added in (b"\0\0\0\x08free" * probing.BOXES_MAX, b"\0\0\0\x01free" + bytes(8)):
        file.write_bytes(whole + added)
        with pytest.raises(MediaRejectedError, match="box"):
            probe(file)


def test_a_long_box_and_one_that_reaches_to_the_end_are_read(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "boxes.mp4"
    file.write_bytes(
        whole + b"\0\0\0\x01free" + (24).to_bytes(8, "big") + bytes(8) + b"\0\0\0\0free" + bytes(99)
    )

    assert probe(file).width == 160


def test_zeros_instead_of_the_first_picture_are_rejected(whole: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    start = whole.index(b"mdat") + 4
    damaged.write_bytes(whole[:start] + bytes(LONG_GAP) + whole[start + LONG_GAP :])

    with pytest.raises(MediaRejectedError):
        probe(damaged)

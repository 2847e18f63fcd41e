from pathlib import Path

import pytest

from services.cli.errors import CommandError
from services.cli.video_request import VideoOptions, local_files, video_request


def named(path: Path) -> str:
    return f"http://stack/{path.name}"


def test_what_was_not_asked_for_is_left_to_the_contract() -> None:
    request = video_request(VideoOptions(prompt="a boat", model="mini"), to_url=named)

    assert request == {"model": "mini", "input": {"prompt": "a boat"}}


def test_every_option_has_its_field() -> None:
    options = VideoOptions(
        prompt="a boat",
        model="pro",
        duration=4,
        resolution="480p",
        aspect_ratio="1:1",
        images=["https://a/1.png"],
        audio=True,
        watermark=True,
        seed=0,
    )

    request = video_request(options, to_url=named)

    assert request["input"] == {
        "prompt": "a boat",
        "duration": 4,
        "resolution": "480p",
        "aspect_ratio": "1:1",
        "image_urls": ["https://a/1.png"],
        "generate_audio": True,
        "watermark": True,
        "seed": 0,
    }


def test_files_become_addresses_and_frames_choose_their_generation_type(tmp_path: Path) -> None:
    first = tmp_path / "first.png"
    first.touch()
    options = VideoOptions(
        prompt="a boat", model="mini", start_image=str(first), end_image="https://a/last.png"
    )

    request = video_request(options, to_url=named)

    assert request["input"] == {
        "prompt": "a boat",
        "generation_type": "first_and_last_frames",
        "start_image_url": "http://stack/first.png",
        "end_image_url": "https://a/last.png",
    }


def test_files_are_uploaded_once_and_addresses_are_not(tmp_path: Path) -> None:
    first = tmp_path / "first.PNG"
    first.touch()
    options = VideoOptions(
        prompt="a boat",
        model="mini",
        images=["https://a/1.png", str(first), str(first)],
        end_image=str(first),
    )

    assert local_files(options) == [first]


def test_an_image_that_is_neither_address_nor_file_is_refused() -> None:
    options = VideoOptions(prompt="a boat", model="mini", images=["no/such.png"])

    with pytest.raises(CommandError, match=r"no/such\.png is neither"):
        local_files(options)


def test_a_file_that_cannot_be_an_image_is_refused(tmp_path: Path) -> None:
    photo = tmp_path / "photo.heic"
    photo.touch()
    options = VideoOptions(prompt="a boat", model="mini", start_image=str(photo))

    with pytest.raises(CommandError, match=r"photo\.heic must end in one of \.bmp, \.gif, \.jpeg"):
        local_files(options)

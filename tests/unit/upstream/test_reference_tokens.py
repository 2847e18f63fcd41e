"""Prompts name references in one form, and each provider gets its own."""

from dataclasses import replace

import pytest

from services.upstream.provider import Order
from services.upstream.reference_tokens import with_tokens

ORDER = Order(
    model="m",
    prompt="",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=True,
    watermark=False,
    return_last_frame=False,
    seed=1,
    image_urls=tuple(f"https://c.example/{number}.png" for number in range(9)),
    audio_urls=("https://c.example/a.mp3",),
)


@pytest.mark.parametrize(
    ("prompt", "written"),
    [
        ("Image 1", "@Image1"),
        ("like Image 2, Image3 and Audio 1.", "like @Image2, @Image3 and @Audio1."),
        ("(Image 9)", "(@Image9)"),
        ("@Image1 and [Image1] are written already", "@Image1 and [Image1] are written already"),
        ("Image 10, Audio 2 and Video 1 are not there", "Image 10, Audio 2 and Video 1 are not there"),
        ("Image 0, Image 01, Image 1st, an image 1 and SubImage 1", "Image 0, Image 01, Image 1st, an image 1 and SubImage 1"),
        ("Image  1\nImage\n1", "Image  1\nImage\n1"),
    ],
)  # fmt: skip
def test_only_references_of_the_order_are_rewritten(prompt: str, written: str) -> None:
    assert with_tokens(replace(ORDER, prompt=prompt), "@{}".format) == written

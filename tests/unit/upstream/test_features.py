"""A request is compared with what a provider can do: everything that changes the video counts, a seed does not."""

from dataclasses import replace
from typing import Any

import pytest

from services.upstream.features import ASPECT_RATIOS, Asked, Features, all_lacking, characters, lacking

ALL = Features(
    resolutions=frozenset({"480p", "720p", "1080p"}),
    seconds=frozenset(range(4, 16)),
    aspect_ratios=frozenset(ASPECT_RATIOS),
    image_references=9,
    video_references=3,
    audio_references=3,
    start_frame=True,
    end_frame=True,
    audio=frozenset({True, False}),
    watermark=frozenset({True, False}),
    seed=True,
)
PLAIN = Asked(
    resolutions="720p",
    seconds=5,
    aspect_ratios="16:9",
    image_references=0,
    video_references=0,
    audio_references=0,
    references=0,
    start_frame=False,
    end_frame=False,
    audio=False,
    watermark=False,
    prompt_characters=20,
    seed=False,
)
LESS: dict[str, tuple[Any, Any]] = {
    "resolutions": ("1080p", frozenset({"480p", "720p"})),
    "seconds": (5, frozenset({4, 6, 8})),
    "aspect_ratios": ("adaptive", frozenset({"16:9"})),
    "image_references": (4, 3),
    "video_references": (1, 0),
    "audio_references": (1, 0),
    "references": (13, 12),
    "start_frame": (True, False),
    "end_frame": (True, False),
    "audio": (False, frozenset({True})),
    "watermark": (True, frozenset({False})),
    "prompt_characters": (3_501, 3_500),
}


@pytest.mark.parametrize("name", LESS)
def test_each_feature_can_be_what_is_lacking(name: str) -> None:
    wanted, has = LESS[name]
    asked = replace(PLAIN, **{name: wanted})

    assert lacking(asked, ALL) is None
    assert lacking(asked, replace(ALL, **{name: has})) == name


def test_all_that_is_lacking_is_named_in_order() -> None:
    poor = replace(ALL, **{name: has for name, (_, has) in LESS.items()})
    asked = replace(PLAIN, **{name: wanted for name, (wanted, _) in LESS.items()})

    assert all_lacking(asked, poor) == tuple(LESS)


def test_a_prompt_is_as_long_as_for_whoever_counts_most() -> None:
    assert [characters(prompt) for prompt in ("", "boat", "Straße 雪", "🚤")] == [0, 4, 8, 2]


def test_a_named_seed_makes_no_request_impossible() -> None:
    assert lacking(replace(PLAIN, seed=True), replace(ALL, seed=False)) is None


@pytest.mark.parametrize("name", [*LESS, "seed"])
def test_features_beyond_others_are_named(name: str) -> None:
    less = replace(ALL, **{name: {**LESS, "seed": (True, False)}[name][1]})

    assert less.beyond(ALL) == ()
    assert ALL.beyond(less) == (name,)

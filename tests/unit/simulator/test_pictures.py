import numpy as np
import pytest

from services.simulator.chord import SAMPLE_RATE, chord
from services.simulator.imagery import Scene
from services.simulator.lettering import caption

SIZE = {"width": 864, "height": 496}


def text_pixels(text: str, **size: int) -> int:
    return int((np.asarray(caption(text, **(size or SIZE)))[..., :3] > 200).all(axis=-1).sum())


def box(text: str) -> tuple[int, int, int, int]:
    found = caption(text, **SIZE).getbbox()
    assert found
    return found


def test_the_same_prompt_and_seed_give_the_same_pictures() -> None:
    first, second = (Scene("A cat", 7, **SIZE) for _ in range(2))

    assert np.array_equal(first.at(2.5), second.at(2.5))


@pytest.mark.parametrize(("prompt", "seed"), [("A cat", 8), ("A dog", 7)])
def test_another_seed_or_prompt_gives_a_visibly_different_picture(prompt: str, seed: int) -> None:
    first, second = Scene("A cat", 7, **SIZE).at(1), Scene(prompt, seed, **SIZE).at(1)

    assert np.abs(first.astype(int) - second).mean() > 10


def test_the_picture_moves_a_little_between_frames_and_a_lot_over_a_clip() -> None:
    scene = Scene("A cat", 7, **SIZE)

    start, next_frame, end = (scene.at(seconds).astype(int) for seconds in (0, 1 / 24, 5))

    assert 0 < np.abs(next_frame - start).mean() < np.abs(end - start).mean() / 4


def test_a_long_prompt_is_wrapped_inside_the_picture() -> None:
    one_line, many_lines = box("A cat"), box("A cat walks over a red roof. " * 12)

    assert many_lines[3] - many_lines[1] > 3 * (one_line[3] - one_line[1])
    assert many_lines[0] > 0
    assert many_lines[2] < SIZE["width"]
    assert many_lines[1] > SIZE["height"] * 0.4


@pytest.mark.parametrize("text", ["word " * 2_000, "x" * 5_000])
def test_an_endless_prompt_is_cut(text: str) -> None:
    left, top, right, bottom = box(text)

    assert (left > 0, top > SIZE["height"] * 0.4, right < SIZE["width"], bottom < SIZE["height"]) == (
        True,
    ) * 4


def test_accents_and_dashes_are_drawn_with_letters_the_font_has() -> None:
    assert text_pixels("Café \N{EN DASH} naïve") == text_pixels("Cafe - naive")


@pytest.mark.parametrize("seed", [0, 13, 2**31 - 1])
def test_a_chord_is_exactly_as_long_as_asked_and_never_clips(seed: int) -> None:
    samples = chord(seed, duration_seconds=4)

    assert samples.shape == (4 * SAMPLE_RATE,)
    assert 0.2 < np.abs(samples).max() < 1
    assert samples[0] == samples[-1] == 0


def test_seeds_choose_the_chord() -> None:
    assert not np.array_equal(chord(1, duration_seconds=1), chord(2, duration_seconds=1))

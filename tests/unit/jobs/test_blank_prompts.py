"""A prompt that shows nothing is none, by Unicode's own categories; whatever shows something is one."""

import sys
import unicodedata
from collections import defaultdict

import pytest
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest
from reelgate.video.v1.video_pb2 import VideoInput
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.errors import ServiceError
from services.jobs.convert.nextapi import parse_new_job
from services.jobs.convert.seedancee2 import parse_new_video
from services.jobs.normalized_text import is_blank

SHOWN_NOWHERE = ("Cc", "Cf", "Cs", "Me", "Mn", "Zl", "Zp", "Zs")
NAMES_OF_NOTHING = ("HANGUL FILLER", "HANGUL CHOSEONG FILLER", "HANGUL JUNGSEONG FILLER", "HALFWIDTH HANGUL FILLER",
                    "BRAILLE PATTERN BLANK", "MUSICAL SYMBOL NULL NOTEHEAD")  # fmt: skip
BY_CATEGORY: dict[str, list[str]] = defaultdict(list)
for _code in range(sys.maxunicode + 1):
    BY_CATEGORY[unicodedata.category(chr(_code))].append(chr(_code))
EMPTY_GLYPHS = {unicodedata.lookup(name) for name in NAMES_OF_NOTHING} | {"\U00013441", "\U00013442"}


@pytest.mark.parametrize("category", SHOWN_NOWHERE)
def test_no_number_of_characters_of_these_categories_is_a_prompt(category: str) -> None:
    text = "".join(BY_CATEGORY[category])

    assert is_blank(text)
    assert not is_blank(f"{text}x")
    assert not is_blank(f"\u96ea{text}")


@pytest.mark.parametrize("category", sorted(set(BY_CATEGORY) - set(SHOWN_NOWHERE) - {"Cn"}))
def test_each_character_of_the_others_is_one_unless_its_name_says_that_it_is_empty(category: str) -> None:
    blank = {character for character in BY_CATEGORY[category] if is_blank(character)}

    assert blank <= EMPTY_GLYPHS


@pytest.mark.parametrize(
    "text", ["", *sorted(EMPTY_GLYPHS), "\u200b\ufe0f\u3164 \u2800\u00ad\U000e0041", "\ufff0\U000e0fff"]
)
def test_what_is_drawn_as_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["\u2764\ufe0f", "\U0001faea", "?", "7", "e\u0301", "\u0939\u093f"])
def test_a_sign_a_digit_and_a_picture_are_prompts(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize("prompt", ["\u200b", "\u3164\ufe0f", "\u2800 \u00ad", "\u0301\u0007"])
def test_both_contracts_refuse_it(prompt: str) -> None:
    video = CreateVideoRequest(model="pro", input=VideoInput(prompt=prompt))
    job = CreateJobRequest(model="m", prompt=prompt)

    with pytest.raises(ServiceError, match=r"^Field input\.prompt must not be blank\.$"):
        parse_new_video(video, check_url=lambda _: None, random_seed=lambda: 1)
    with pytest.raises(ServiceError, match=r"^Field prompt must not be blank\.$"):
        parse_new_job(job, check_url=lambda _: None, random_seed=lambda: 1)

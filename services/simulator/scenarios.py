import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.simulator.errors import ApiError, internal_error, invalid


class Create(StrEnum):
    """How the create call misbehaves."""

    FLAWLESS = "flawless"
    MODERATED = "moderated"
    LIMITED = "limited"
    LIMITED_WITHOUT_WAIT = "limited_without_wait"
    FAILS = "fails"
    FAILS_AFTER_STORING = "fails_after_storing"
    LOSES_ANSWER = "loses_answer"
    GARBLED = "garbled"


class Poll(StrEnum):
    """How GET of one task misbehaves."""

    FLAWLESS = "flawless"
    FAILS = "fails"
    GARBLED = "garbled"
    STRANGE_STATUS = "strange_status"
    FAILS_UNTIL_CALLBACK = "fails_until_callback"


class Ending(StrEnum):
    """What becomes of the task."""

    SUCCEEDS = "succeeds"
    SUCCEEDS_WITHOUT_VIDEO = "succeeds_without_video"
    SUCCEEDS_SHORT = "succeeds_short"
    EXPIRES = "expires"
    BREAKS = "breaks"
    IS_MODERATED = "is_moderated"
    REJECTS_IMAGE = "rejects_image"


class Media(StrEnum):
    """What the address of the video serves."""

    WHOLE = "whole"
    PAGE = "page"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"


class Callbacks(StrEnum):
    """How state changes are announced."""

    FLAWLESS = "flawless"
    NONE = "none"
    TWICE = "twice"
    FINAL_FIRST = "final_first"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way to misbehave, asked for in a prompt as `[simulate: directive]`."""

    directive: str
    sentence: str
    number: int = 0
    """What N means unless the prompt says otherwise; 0 when the directive takes no number."""
    create: Create = Create.FLAWLESS
    poll: Poll = Poll.FLAWLESS
    ending: Ending = Ending.SUCCEEDS
    media: Media = Media.WHOLE
    callbacks: Callbacks = Callbacks.FLAWLESS
    delayed: bool = False
    held: bool = False


FLAWLESS: Final = Scenario(directive="", sentence="Everything goes well.")

SCENARIOS: Final = (
    Scenario(
        directive="fail",
        sentence="The task fails with `InternalServiceError`.",
        ending=Ending.BREAKS,
    ),
    Scenario(
        directive="moderated prompt",
        sentence="Create answers 400 `InputTextSensitiveContentDetected`.",
        create=Create.MODERATED,
    ),
    Scenario(
        directive="moderated video",
        sentence="The task fails with `OutputVideoSensitiveContentDetected`.",
        ending=Ending.IS_MODERATED,
    ),
    Scenario(
        directive="bad image",
        sentence="The task fails with `InvalidImageURL.InvalidFormat`.",
        ending=Ending.REJECTS_IMAGE,
    ),
    Scenario(
        directive="slow",
        sentence="The task runs N seconds longer.",
        number=30,
        delayed=True,
    ),
    Scenario(
        directive="queue",
        sentence="The task stays queued N seconds longer.",
        number=30,
        held=True,
    ),
    Scenario(
        directive="expire",
        sentence="The task ends as `expired`.",
        ending=Ending.EXPIRES,
    ),
    Scenario(
        directive="lost response",
        sentence="Create stores the task, then resets the connection without an answer.",
        create=Create.LOSES_ANSWER,
    ),
    Scenario(
        directive="stored error",
        sentence="Create stores the task, then answers 500 `InternalServiceError`.",
        create=Create.FAILS_AFTER_STORING,
    ),
    Scenario(
        directive="create error",
        sentence="The first N creates answer 500 `InternalServiceError` and store nothing.",
        number=1,
        create=Create.FAILS,
    ),
    Scenario(
        directive="rate limit",
        sentence="The first N creates answer 429 with `Retry-After: 1` and store nothing.",
        number=2,
        create=Create.LIMITED,
    ),
    Scenario(
        directive="overload",
        sentence="The first N creates answer 429 `ServerOverloaded` without `Retry-After` and store nothing.",
        number=2,
        create=Create.LIMITED_WITHOUT_WAIT,
    ),
    Scenario(
        directive="garbled create",
        sentence="Create stores the task, then answers 200 with a body that is not JSON.",
        create=Create.GARBLED,
    ),
    Scenario(
        directive="poll error",
        sentence="The first N GETs of the task answer 500.",
        number=3,
        poll=Poll.FAILS,
    ),
    Scenario(
        directive="garbled poll",
        sentence="The first N GETs of the task answer 200 with a body that is not JSON.",
        number=3,
        poll=Poll.GARBLED,
    ),
    Scenario(
        directive="strange status",
        sentence="The first N GETs of the task report the undocumented status `postprocessing`.",
        number=3,
        poll=Poll.STRANGE_STATUS,
    ),
    Scenario(
        directive="no video",
        sentence="The task succeeds, but its content has no `video_url`.",
        ending=Ending.SUCCEEDS_WITHOUT_VIDEO,
    ),
    Scenario(
        directive="wrong media",
        sentence="The address of the video serves an HTML page.",
        media=Media.PAGE,
    ),
    Scenario(
        directive="truncated media",
        sentence="The address of the video serves only the first half of the file.",
        media=Media.TRUNCATED,
    ),
    Scenario(
        directive="corrupt media",
        sentence="The address of the video serves a file of the right length whose index is zeros.",
        media=Media.CORRUPT,
    ),
    Scenario(
        directive="short clip",
        sentence="The video, and the duration reported for it, is half of what was asked, rounded down.",
        ending=Ending.SUCCEEDS_SHORT,
    ),
    Scenario(
        directive="twice callbacks",
        sentence="Every callback is sent twice.",
        callbacks=Callbacks.TWICE,
    ),
    Scenario(
        directive="shuffled callbacks",
        sentence="The final callback is sent first, the earlier ones after it.",
        callbacks=Callbacks.FINAL_FIRST,
    ),
    Scenario(
        directive="no callbacks",
        sentence="No callback is sent.",
        callbacks=Callbacks.NONE,
    ),
    Scenario(
        directive="callbacks only",
        sentence="With a `callback_url`, GETs of the task answer 500 until the final callback has been sent.",
        poll=Poll.FAILS_UNTIL_CALLBACK,
    ),
)
SCENARIO_BY_DIRECTIVE: Final[Mapping[str, Scenario]] = {row.directive: row for row in SCENARIOS}

DIRECTIVE: Final = re.compile(r"\[simulate:\s*([a-z ]*?)\s*(\d{1,4})?\s*\]", re.IGNORECASE)


def scenario_of(prompt: str) -> tuple[Scenario, int]:
    """The scenario that a prompt asks for, and its N. Raises ApiError for an unknown or second directive."""
    found = DIRECTIVE.findall(prompt)
    if not found:
        return FLAWLESS, 0
    directive, number = found[0]
    scenario = SCENARIO_BY_DIRECTIVE.get(directive.lower())
    if scenario is None or len(found) > 1:
        known = ", ".join(SCENARIO_BY_DIRECTIVE)
        raise invalid("content", f"A prompt may hold one [simulate: …] directive; known are: {known}.")
    return scenario, int(number or scenario.number)


def create_error(create: Create) -> ApiError | None:
    """What a misbehaving create answers instead of the task's id, when that is an error."""
    match create:
        case Create.MODERATED:
            message = "The request failed because the input text may contain sensitive information."
            return ApiError(400, "InputTextSensitiveContentDetected", message, parameter="content")
        case Create.LIMITED:
            message = "The requests per minute of this model are used up."
            return ApiError(429, "ModelAccountRpmRateLimitExceeded", message, headers={"Retry-After": "1"})
        case Create.LIMITED_WITHOUT_WAIT:
            return ApiError(429, "ServerOverloaded", "The service is overloaded. Please retry later.")
        case Create.FAILS | Create.FAILS_AFTER_STORING:
            return internal_error()
        case _:
            return None


# Error code and message of tasks that fail.
FAILURES: Final[Mapping[Ending, tuple[str, str]]] = {
    Ending.BREAKS: ("InternalServiceError", "The service encountered an unexpected internal error."),
    Ending.IS_MODERATED: (
        "OutputVideoSensitiveContentDetected",
        "The request failed because the output video may contain sensitive information.",
    ),
    Ending.REJECTS_IMAGE: (
        "InvalidImageURL.InvalidFormat",
        "The request failed because an input image could not be read.",
    ),
}

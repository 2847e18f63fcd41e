"""A change of a document that would break customers is named; what only adds to it is not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from protos.openapi.compare import RELEASED, breaks
from tests.unit.protos.openapi.conftest import Document, committed

VIDEOS, VIDEO = "/v1/videos/generations", "/v1/videos/generations/{id}"
Change = Callable[[Document], Any]


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def creation(document: Document) -> Any:
    return document["paths"][VIDEOS]["post"]


PLANTED: dict[str, Change] = {
    "POST /v1/uploads was removed": lambda each: each["paths"]["/v1/uploads"].pop("post"),
    "GET /v1/videos/generations/{id}: its operationId was changed": lambda each: each["paths"][VIDEO][
        "get"
    ].update(operationId="pollVideo"),
    "POST /v1/videos/generations: status 402 was removed": lambda each: creation(each)["responses"].pop(
        "402"
    ),
    "VideoCompleted: completed_at was removed": lambda each: schema(each, "VideoCompleted")["properties"].pop(
        "completed_at"
    ),
    "VideoOutput: thumbnail_url can now be absent": lambda each: schema(each, "VideoOutput")[
        "required"
    ].remove("thumbnail_url"),
    "variant VideoProcessing was removed": lambda each: schema(each, "Video")["oneOf"].pop(1),
    "callback_url is now required": lambda each: schema(each, "CreateVideoRequest")["required"].append(
        "callback_url"
    ),
    "POST /v1/videos/generations input resolution: only ['720p'] are allowed now": lambda each: schema(
        each, "VideoInput"
    )["properties"]["resolution"].update(enum=["720p"]),
    "input duration: maximum is now 10": lambda each: schema(each, "VideoInput")["properties"][
        "duration"
    ].update(maximum=10),
    "input prompt: pattern is now ^[a-z]+$": lambda each: schema(each, "VideoInput")["properties"][
        "prompt"
    ].update(pattern="^[a-z]+$"),
    "image_urls[]: maxLength is now 100": lambda each: schema(each, "VideoInput")["properties"]["image_urls"][
        "items"
    ].update(maxLength=100),
    "available: its type was changed": lambda each: schema(each, "Balance")["properties"]["available"].update(
        type="string"
    ),
    "header X-RateLimit-Reset was removed": lambda each: creation(each)["responses"]["200"]["headers"].pop(
        "X-RateLimit-Reset"
    ),
    "a way to send the key was removed": lambda each: each["security"].pop(),
    "event video.generation.failed was removed": lambda each: each["webhooks"].pop("video.generation.failed"),
    "header X-Seedancee2-Signature was removed": lambda each: each["webhooks"]["video.generation.failed"][
        "post"
    ]["parameters"].pop(4),
    "error code insufficient_credits was removed": lambda each: each["components"]["responses"][
        "CreditsInsufficientOrSpendLimitExceeded"
    ]["x-error-codes"].clear(),
    "parameter wait was removed": lambda each: each["paths"][VIDEO]["get"]["parameters"].pop(1),
    "parameter limit is now required": lambda each: each["paths"][VIDEOS]["get"]["parameters"][1].update(
        required=True
    ),
}


@pytest.mark.parametrize("sentence", PLANTED)
def test_a_change_that_breaks_customers_is_named(sentence: str) -> None:
    old = committed("seedancee2")
    new = deepcopy(old)
    PLANTED[sentence](new)

    found = breaks(old, new)

    assert any(sentence in each for each in found), found


ADDED: dict[str, Change] = {
    "an operation": lambda each: each["paths"].update({"/v1/new": each["paths"]["/v1/balance"]}),
    "an event": lambda each: each["webhooks"].update({"new": each["webhooks"]["webhook.test"]}),
    "a key of an answer": lambda each: schema(each, "Balance")["properties"].update(new={"type": "string"}),
    "an optional key of a request": lambda each: schema(each, "VideoInput")["properties"].update(
        new={"type": "string"}
    ),
    "a choice": lambda each: schema(each, "VideoInput")["properties"]["resolution"]["enum"].append("4k"),
    "a wider range": lambda each: schema(each, "VideoInput")["properties"]["duration"].update(maximum=60),
    "a status": lambda each: creation(each)["responses"].update({"418": creation(each)["responses"]["402"]}),
    "another word": lambda each: schema(each, "Balance").update(description="Money."),
    "nothing": dict,
}


@pytest.mark.parametrize("what", ADDED)
def test_what_is_added_breaks_nobody(what: str) -> None:
    old = committed("seedancee2")
    new = deepcopy(old)
    ADDED[what](new)

    assert breaks(old, new) == []


@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
def test_the_released_documents_are_there_to_compare_with(contract: str) -> None:
    assert (RELEASED / f"{contract}.json").is_file()

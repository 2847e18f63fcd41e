"""Each address a customer may give is refused under its own name if it cannot be requested as it is written."""

from typing import Any

import pytest

from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import check_url
from services.common.errors import Reason, ServiceError
from services.webhooks.domain import EndpointChange
from services.webhooks.operations.endpoints import check_endpoint
from tests.unit.jobs import test_nextapi, test_parse

GOOD = "https://a.example/%2F%7e?"
UNSENDABLE = {
    "https://a.example/a b": "must not contain spaces, control characters or backslashes",
    "https://a.example/\t": "must not contain spaces, control characters or backslashes",
    "https://a.example\\@b.example/": "must not contain spaces, control characters or backslashes",
    "https://a.example/\u00e4": "must have only ASCII characters after the host: write others as %-escapes",
    "https://a.example/?q=\u6587": "must have only ASCII characters after the host: write others as %-escapes",
    "https://me@a.example/": "must not contain a user name or password",
}
FRAMES = {"generation_type": "first_and_last_frames"}
INPUTS: dict[str, Any] = {
    "image_urls[1]": lambda url: {"image_urls": [GOOD, url]},
    "start_image_url": lambda url: {**FRAMES, "start_image_url": url, "end_image_url": GOOD},
    "end_image_url": lambda url: {**FRAMES, "start_image_url": GOOD, "end_image_url": url},
    "video_url": lambda url: {"video_url": url},
    "video_urls[0]": lambda url: {"video_urls": [url]},
    "audio_urls[0]": lambda url: {"image_urls": [GOOD], "audio_urls": [url]},
}


def _seedancee2(field: str, url: str) -> None:
    body: dict[str, Any] = {"model": "pro", "input": {"prompt": "a"}}
    if field == "callback_url":
        body["callback_url"] = url
    else:
        body["input"] |= INPUTS[field.removeprefix("input.")](url)
    test_parse.parse(body)


def _nextapi(field: str, url: str) -> None:
    fields = {"webhook_url": url} if field == "webhook_url" else INPUTS[field](url)
    test_nextapi.parse({"model": "seedance-2.0-pro", "prompt": "waves", **fields})


def _endpoint(_field: str, url: str) -> None:
    check_endpoint(
        EndpointChange(url=url, events=None, description=None, is_enabled=None),
        contract="nextapi",
        check_url=lambda text: check_url(text, UrlPolicy()),
    )


FIELDS = [
    *((_seedancee2, field) for field in ("callback_url", *(f"input.{name}" for name in INPUTS))),
    *((_nextapi, field) for field in ("webhook_url", *INPUTS)),
    (_endpoint, "url"),
]


@pytest.mark.parametrize("url", UNSENDABLE)
@pytest.mark.parametrize(("give", "field"), FIELDS)
def test_an_address_that_cannot_be_sent(give: Any, field: str, url: str) -> None:
    with pytest.raises(ServiceError) as refused:
        give(field, url)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.message.startswith(f"Field {field} {UNSENDABLE[url]}.")


@pytest.mark.parametrize(("give", "field"), FIELDS)
def test_an_address_that_can(give: Any, field: str) -> None:
    give(field, GOOD)

"""Which file of an order ModelArk cannot use, as far as it says so."""

import pytest

from services.upstream.call import Answer
from services.upstream.provider import BadReference, Order, ReferenceFault, RefusalKind, Refused, RefusedError
from services.upstream.providers.ark.errors import ArkError, refusal, submission_error
from services.upstream.providers.ark.wire import parse_error, parse_task, render_order

ORDER = Order(
    model="m",
    prompt="waves",
    duration_seconds=5,
    resolution="720p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=1,
    image_urls=("https://a.example/i0", "https://a.example/i1"),
    video_urls=("https://a.example/v0",),
    audio_urls=("https://a.example/a0",),
    start_image_url="https://a.example/first",
    end_image_url="https://a.example/last",
)
NOT_VALID = "The parameter `content[3].image_url` specified in the request is not valid"
NOT_FETCHED, OUT_OF_BOUNDS = ReferenceFault.NOT_FETCHED, ReferenceFault.OUT_OF_BOUNDS
NOT_READABLE, UNKNOWN = ReferenceFault.NOT_READABLE, ReferenceFault.UNKNOWN


def error(code: str, message: str = "", parameter: str = "") -> ArkError:
    return ArkError(code=code, parameter=parameter, message=message)


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        (
            error("InvalidParameter", f"{NOT_VALID}: resource download failed.", "content"),
            (2, False, NOT_FETCHED),
        ),
        (error("InvalidParameter", "", "content[3].image_url"), (2, False, UNKNOWN)),
        (error("InvalidParameter", "", "content[12].audio_url.url"), (11, False, UNKNOWN)),
        (
            error("InvalidParameter", "video pixel count must be less than 9", "content[5]"),
            (4, False, OUT_OF_BOUNDS),
        ),
        (
            error("InvalidParameter", "Timeout while downloading url=http://10.0.0.1/x."),
            (None, False, NOT_FETCHED),
        ),
        (error("InvalidImageURL.InvalidFormat"), (None, True, NOT_READABLE)),
        (error("InvalidImageURL.InvalidFormat", NOT_VALID), (2, True, NOT_READABLE)),
        (error("InvalidImageURL.EmptyURL"), (None, True, UNKNOWN)),
    ],
)
def test_a_file_is_found_in_answers_and_in_failed_tasks(
    said: ArkError, reference: tuple[int | None, bool, ReferenceFault]
) -> None:
    position, is_image, fault = reference
    expected = BadReference(position=position, is_image=is_image, fault=fault)

    body = f'{{"error":{{"code":"{said.code}","param":"{said.parameter}","message":"{said.message}"}}}}'
    refused = submission_error(Answer(status=400, body=b""), parse_error(body.encode()))
    failed = parse_task(f'{{"status":"failed",{body[1:]}'.encode())

    assert isinstance(refused, RefusedError)
    assert isinstance(failed, Refused)
    for each in (refused.refused, failed):
        assert (each.kind, each.reference) == (RefusalKind.INPUT_MEDIA, expected)
        assert said.message not in each.detail or not said.message


@pytest.mark.parametrize(
    "said",
    [
        error("InvalidParameter", "The parameter `duration` is not valid.", "duration"),
        error("InvalidParameter", "", "content[0].text"),
        error("InvalidParameter", "", "content[0]"),
        error("InvalidParameter", "role must be specified", "content[1].role"),
        error("InvalidParameter", "", "content"),
        error("InvalidParameter", "", "xcontent[1]"),
        error("MissingParameter", "", "content.text"),
    ],
)
def test_what_is_not_about_a_file_names_none(said: ArkError) -> None:
    found = refusal(said, otherwise=RefusalKind.FAILED, detail="")

    assert found == Refused(kind=RefusalKind.PARAMETERS)


@pytest.mark.parametrize("code", ["InputImageSensitiveContentDetected", "InternalServiceError", ""])
def test_another_reason_stays_what_it_is(code: str) -> None:
    found = refusal(error(code, NOT_VALID), otherwise=RefusalKind.FAILED, detail="")

    assert found.kind is not RefusalKind.INPUT_MEDIA
    assert found.reference == BadReference()


def test_positions_count_the_references_as_they_are_sent() -> None:
    body = render_order(ORDER, correlation_id="att_1", callback_url=None, sends_seed=False)

    text, *media = body["content"]
    assert text["type"] == "text"
    assert [item[item["type"]]["url"] for item in media] == list(ORDER.references)

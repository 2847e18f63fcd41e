"""A creation is one job, however often the request has to be sent."""

from typing import Any

import pytest
from reelgate_client import (
    ConflictError,
    ConnectionFailedError,
    InsufficientCreditsError,
    InvalidRequestError,
    RateLimitError,
    ReelgateError,
    ServerError,
)

from tests.unit.clients.python.conftest import Bench
from tests.unit.clients.python.service import LOST, Reply

CREATED = Reply(
    200,
    {
        "data": {
            "id": "vid_1",
            "status": "pending",
            "model": "mini",
            "credits_reserved": 50,
            "created_at": "x",
        }
    },
)
JOB = Reply(200, {"id": "job_1", "status": "queued", "estimated_credits": 1.05})
BODY: dict[str, Any] = {"model": "mini", "input": {"prompt": "A boat"}}


def refusal(status: int, code: str = "c", **headers: str) -> Reply:
    return Reply(
        status, {"error": {"code": code, "message": "m", "type": "t"}}, {"X-Request-Id": "req_1", **headers}
    )


def keys(bench: Bench) -> list[str]:
    return [each.headers["idempotency-key"] for each in bench.service.received]


def test_the_body_is_the_contracts_own(bench: Bench) -> None:
    bench.service.replies = [CREATED]

    video = bench.do(bench.client().videos.create(**BODY, metadata={"a": 1}))

    [sent] = bench.service.received
    assert (sent.method, sent.path) == ("POST", "/v1/videos/generations")
    assert sent.json == {**BODY, "metadata": {"a": 1}}
    assert sent.headers["authorization"] == "Bearer sk_seedancee2_test_0123456789abcdefghijklmn"
    assert sent.headers["user-agent"].startswith("reelgate-client/")
    assert (video.id, video.status, video.idempotency_key) == ("vid_1", "pending", keys(bench)[0])
    assert video.data["credits_reserved"] == 50


def test_nextapi_has_a_flat_body_and_bare_answers(bench: Bench) -> None:
    bench.service.replies = [JOB]

    video = bench.do(
        bench.client("nextapi", environment="test").videos.create(model="seedance-2.0-pro", prompt="A boat")
    )

    [sent] = bench.service.received
    assert (sent.path, sent.json) == (
        "/v1/video/generations",
        {"model": "seedance-2.0-pro", "prompt": "A boat"},
    )
    assert sent.headers["x-nextapi-environment"] == "test"
    assert (video.id, video.data["estimated_credits"]) == ("job_1", 1.05)


@pytest.mark.parametrize(
    "failure",
    [
        LOST,
        refusal(429),
        refusal(500),
        refusal(503),
        refusal(504),
        refusal(409, "idempotency_conflict"),
        refusal(409, **{"Retry-After": "1"}),
        Reply(502, b"<html>bad gateway"),
    ],
)
def test_a_failure_that_may_pass_is_repeated_with_the_same_key(bench: Bench, failure: Reply) -> None:
    bench.service.replies = [failure, failure, CREATED]

    video = bench.do(bench.client().videos.create(**BODY))

    assert keys(bench) == [video.idempotency_key] * 3
    assert len(bench.slept) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 415, 422])
def test_another_refusal_is_not_repeated(bench: Bench, status: int) -> None:
    bench.service.replies = [refusal(status)]

    with pytest.raises(ReelgateError) as raised:
        bench.do(bench.client().videos.create(**BODY))

    assert len(bench.service.received) == 1
    assert (raised.value.status, raised.value.code, raised.value.type) == (status, "c", "t")
    assert (raised.value.message, raised.value.request_id) == ("m", "req_1")
    assert raised.value.idempotency_key == keys(bench)[0]


def test_after_the_last_attempt_the_failure_is_raised_with_the_key(bench: Bench) -> None:
    bench.service.replies = [LOST]

    with pytest.raises(ConnectionFailedError) as raised:
        bench.do(bench.client(max_retries=2).videos.create(**BODY))

    assert keys(bench) == [raised.value.idempotency_key] * 3


def test_a_key_of_ones_own_is_sent(bench: Bench) -> None:
    bench.service.replies = [CREATED]

    video = bench.do(bench.client().videos.create(**BODY, idempotency_key="order-7"))

    assert keys(bench) == ["order-7"]
    assert video.idempotency_key == "order-7"


def test_each_creation_has_a_key_of_its_own(bench: Bench) -> None:
    bench.service.replies = [CREATED]
    client = bench.client()

    for _ in range(2):
        bench.do(client.videos.create(**BODY))

    assert len(set(keys(bench))) == 2


@pytest.mark.parametrize(("said", "slept"), [("7", 7.0), ("3600", 60.0), ("soon", 0.25)])
def test_retry_after_is_obeyed_up_to_a_minute(bench: Bench, said: str, slept: float) -> None:
    bench.service.replies = [refusal(429, **{"Retry-After": said}), CREATED]

    bench.do(bench.client().videos.create(**BODY))

    assert bench.slept == [slept]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", InvalidRequestError),
        (402, "spend_limit_exceeded", InsufficientCreditsError),
        (409, "conflict", ConflictError),
        (422, "idempotency_conflict", ConflictError),
        (429, "rate_limit_exceeded", RateLimitError),
        (500, "internal_error", ServerError),
        (418, "a_code_of_tomorrow", InvalidRequestError),
    ],
)
def test_errors_have_classes_and_unknown_codes_stay_readable(
    bench: Bench, status: int, code: str, kind: type[ReelgateError]
) -> None:
    bench.service.replies = [refusal(status, code)]

    with pytest.raises(kind) as raised:
        bench.do(bench.client(max_retries=0).videos.create(**BODY))

    assert type(raised.value) is kind
    assert str(raised.value) == f"m ({status}, {code}, req_1)"


@pytest.mark.parametrize("field", ["image_urls", "start_image_url", "video_urls"])
def test_a_path_in_place_of_an_address_says_how_to_upload(bench: Bench, field: str) -> None:
    value = "cat.png" if field.endswith("url") else ["https://example.com/a.png", "cat.png"]

    with pytest.raises(InvalidRequestError, match=r"client\.uploads\.create\('cat\.png'\)\.url"):
        bench.do(bench.client().videos.create(model="mini", input={"prompt": "p", field: value}))

    assert bench.service.received == []

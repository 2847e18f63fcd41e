"""The check that every end-to-end test makes of what customers get: it lets pass what is documented, and nothing else."""

import json
from typing import Any

import pytest

from tests.conformance import CONTRACTS, check_answer, check_webhook, document_of

VIDEOS = "/v1/videos/generations"
HEADERS = {
    "content-type": "application/json",
    "x-request-id": "a",
    "x-ratelimit-limit": "600",
    "x-ratelimit-remaining": "599",
    "x-ratelimit-reset": "60",
}
KEYS = {"seedancee2": "sk_seedancee2_test_", "nextapi": "nxa_test_sk_"}
EVENT = {
    "webhook-id": "evt_1",
    "webhook-timestamp": "1770000000",
    "x-seedancee2-event": "video.generation.completed",
    "x-seedancee2-signature": f"t=1770000000,v1={'a' * 64}",
}


def example(contract: str, path: str, verb: str, status: str, name: str) -> Any:
    response = document_of(contract)["paths"][path][verb]["responses"][status]
    return json.loads(json.dumps(response["content"]["application/json"]["examples"][name]["value"]))


def check(video: Any, *, status: int = 200, path: str = f"{VIDEOS}/vid_1", limit: str = "600") -> None:
    headers = {**HEADERS, "x-ratelimit-limit": limit}
    check_answer("GET", path, status, headers, json.dumps(video).encode())


@pytest.fixture
def video() -> Any:
    return example("seedancee2", f"{VIDEOS}/{{id}}", "get", "200", "completed")


def test_what_is_documented_passes(video: Any) -> None:
    check(video)


@pytest.mark.parametrize("place", [(), ("data",), ("data", "output")])
def test_a_key_too_many_is_found_wherever_it_stands(video: Any, place: tuple[str, ...]) -> None:
    planted = video
    for key in place:
        planted = planted[key]
    planted["provider"] = "somebody"

    with pytest.raises(AssertionError):
        check(video)


@pytest.mark.parametrize("key", ["status", "completed_at", "credits_charged", "output"])
def test_a_key_too_few_is_found(video: Any, key: str) -> None:
    del video["data"][key]

    with pytest.raises(AssertionError):
        check(video)


def test_keys_of_another_status_are_found(video: Any) -> None:
    video["data"]["status"] = "processing"

    with pytest.raises(AssertionError):
        check(video)


def test_a_moment_in_another_form_is_found(video: Any) -> None:
    video["data"]["created_at"] = "2026-06-29T10:00:00Z"

    with pytest.raises(AssertionError):
        check(video)


@pytest.mark.parametrize("header", ["x-request-id", "x-ratelimit-reset"])
def test_a_header_that_is_missing_is_found(video: Any, header: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != header}

    with pytest.raises(AssertionError, match=f"(?i){header}"):
        check_answer("GET", f"{VIDEOS}/vid_1", 200, headers, json.dumps(video).encode())


def test_a_header_of_another_kind_is_found(video: Any) -> None:
    with pytest.raises(AssertionError, match="X-RateLimit-Limit"):
        check(video, limit="-1")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "insufficient_credits"), (402, "insufficient_credits"), (418, "not_found")]
)
def test_a_code_or_a_status_that_is_not_of_the_operation_is_found(status: int, code: str) -> None:
    error = {"error": {"code": code, "message": "No.", "type": "billing_error"}}

    with pytest.raises(AssertionError):
        check(error, status=status)


def test_what_has_no_documented_path_may_only_refuse(video: Any) -> None:
    check({"error": {"code": "not_found", "message": "No."}}, status=404, path="/v1/nothing")
    with pytest.raises(AssertionError):
        check(video, path="/v1/nothing")


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_example_of_an_answer_is_as_documented(contract: str) -> None:
    checked = 0
    for path, item in document_of(contract)["paths"].items():
        for verb, operation in item.items():
            content = operation["responses"]["200"]["content"].get("application/json", {})
            for shown in content.get("examples", {}).values():
                body = json.dumps(shown["value"]).encode()
                url = path.replace("{id}", "a")
                check_answer(verb.upper(), url, 200, HEADERS, body, key=KEYS[contract])
                checked += 1
    assert checked > 3


def test_a_webhook_passes_as_documented_and_not_with_a_key_more(video: Any) -> None:
    check_webhook(EVENT, json.dumps(video).encode())

    video["data"]["task_id"] = "cgt-1"
    with pytest.raises(AssertionError):
        check_webhook(EVENT, json.dumps(video).encode())


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_a_webhook_without_a_header_that_each_has_is_found(video: Any, header: str) -> None:
    headers = {name: value for name, value in EVENT.items() if name != header}

    with pytest.raises(AssertionError, match=header):
        check_webhook(headers, json.dumps(video).encode())


def test_a_signature_in_another_form_is_found(video: Any) -> None:
    with pytest.raises(AssertionError, match="Signature"):
        check_webhook({**EVENT, "x-seedancee2-signature": "v1=aa"}, json.dumps(video).encode())


def test_an_event_that_no_document_shows_is_found() -> None:
    with pytest.raises(AssertionError, match=r"no event job\.lost"):
        check_webhook({"webhook-id": "evt_1", "webhook-timestamp": "1"}, b'{"type": "job.lost"}')

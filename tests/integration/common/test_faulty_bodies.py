"""A body that cannot be taken as it stands is refused over a real hop, and leaves nothing that a later one could meet."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.rpc.exactness import HEADER
from tests.conftest import MakeDatabase
from tests.integration.common.keyed import Answer, Service, running_service

UNKNOWN_FIELD = b"\xf8\x07\x01"
"""Field number 127, with the value 1."""
DURATION = {
    "rule": "unknown_field",
    "message": "reelgate.video.v1.CreateVideoRequest",
    "field": "duration",
    "name": "duration",
}


@pytest.fixture
async def service(make_database: MakeDatabase) -> AsyncIterator[Service]:
    async with running_service(make_database("jobs")) as running:
        yield running


def _message(answer: Answer) -> str:
    said: dict[str, Any] = json.loads(answer.body)
    message: str = said["error"]["message"]
    return message


async def _post_faulty(service: Service, *keys: str, api: str | None = None, **fault: str) -> Answer:
    headers = {HEADER: json.dumps(fault)}
    return await service.post(*keys, request=CreateVideoRequest(), api=api, headers=headers)


async def test_a_faulty_body_is_refused_and_writes_no_row_under_its_idempotency_key(service: Service) -> None:
    faulty = await _post_faulty(service, "k", **DURATION)
    kept = await service.sql("SELECT * FROM idempotency")
    plain = await service.post("k")

    assert (faulty.status, _message(faulty)) == (
        400,
        "Field duration is not known. Did you mean input.duration?",
    )
    assert kept == []
    assert (plain.status, plain.is_replay) == (200, False)
    assert len(service.deeds.reservations) == 1


async def test_a_faulty_body_is_never_answered_with_what_its_key_brought_before(service: Service) -> None:
    await service.post("k")

    faulty = await _post_faulty(service, "k", **DURATION)

    assert (faulty.status, faulty.is_replay) == (400, False)
    assert len(service.deeds.reservations) == 1


async def test_an_unknown_field_over_grpc_writes_no_row_either(service: Service) -> None:
    refused = await service.post(
        "k", request=CreateVideoRequest(model="mini").SerializeToString() + UNKNOWN_FIELD
    )

    assert refused.status == 400
    assert _message(refused).startswith("Field number 127 of the request is not known. Remove it. ")
    assert await service.sql("SELECT * FROM idempotency") == []
    assert service.deeds.reservations == []


async def test_who_calls_is_told_before_what_is_wrong_with_the_body(service: Service) -> None:
    refused = await _post_faulty(service, "k", api="no key", **DURATION)

    assert refused.status == 401


async def test_what_is_not_json_leaves_as_415(service: Service) -> None:
    refused = await _post_faulty(service, rule="not_json", came="gzip")

    assert refused.status == 415
    assert json.loads(refused.body)["error"]["code"] == "invalid_request"
    assert _message(refused).startswith("The request body is compressed (gzip). Send JSON, uncompressed")


async def test_half_a_message_is_told_from_a_text_that_is_not_utf_8(service: Service) -> None:
    whole = CreateVideoRequest(model="mini").SerializeToString()

    half = await service.post(request=whole[:-1])
    latin = await service.post(request=whole[:-1] + b"\xff")

    assert (half.status, latin.status) == (400, 400)
    assert _message(half).startswith("The request is not a whole protobuf message: its bytes end too early")
    assert _message(latin).startswith("The request is not valid: every text must be UTF-8")

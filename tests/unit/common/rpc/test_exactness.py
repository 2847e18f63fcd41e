"""What a caller sent beside what is known: refused in one sentence that names it and says what was meant."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from grpc.aio import ServicerContext
from reelgate.nextapi.v1 import job_service_pb2
from reelgate.video.v1 import video_pb2, video_service_pb2
from reelgate.webhooks.v1 import webhooks_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.exactness import HEADER, exact
from services.jobs.rpc.access import PUBLIC_ACCESS
from services.webhooks.wiring import ACCESS

import_module("services.jobs.wiring.process")  # which loads all its protos

UNKNOWN_FIELD = b"\xf8\x07\x01"
"""Field number 127, with the value 1."""
VIDEO = "/reelgate.video.v1.VideoService/CreateVideo"
CANCEL = "/reelgate.video.v1.VideoService/CancelVideo"
JOB = "/reelgate.nextapi.v1.JobService/CreateJob"
ENDPOINT = "/reelgate.webhooks.v1.WebhooksService/UpdateWebhookEndpoint"
TEST = "/reelgate.webhooks.v1.WebhooksService/TestWebhookEndpoint"
REQUESTS: Mapping[str, type[Message]] = {
    VIDEO: video_service_pb2.CreateVideoRequest,
    CANCEL: video_service_pb2.CancelVideoRequest,
    JOB: job_service_pb2.CreateJobRequest,
    ENDPOINT: webhooks_service_pb2.UpdateWebhookEndpointRequest,
    TEST: webhooks_service_pb2.TestWebhookEndpointRequest,
}


class _Context:
    def __init__(self, header: str | None) -> None:
        self._metadata = () if header is None else ((HEADER, header),)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


async def _reached(request: Any, _context: Any) -> Any:
    return request


async def _call(method: str, request: Message, header: str | None = None) -> Any:
    middleware = exact(PUBLIC_ACCESS if "webhooks" not in method else ACCESS)
    context = cast("ServicerContext[Any, Any]", _Context(header))
    return await middleware(method, _reached)(request, context)


async def _refused(method: str, request: Message, header: str | None = None) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await _call(method, request, header)
    return caught.value


async def _refused_for(method: str = VIDEO, **fault: str) -> ServiceError:
    """What a body is refused with in which the edge found this."""
    return await _refused(method, REQUESTS[method](), json.dumps(fault))


async def _unknown(method: str, field: str) -> str:
    name = field.rpartition(".")[2]
    message: Any = REQUESTS[method].DESCRIPTOR
    inner = message.fields_by_name["input"].message_type if "." in field else message
    refused = await _refused_for(
        method, rule="unknown_field", message=inner.full_name, field=field, name=name
    )
    assert refused.metadata == {"field": field}
    return refused.message


async def test_a_request_without_a_fault_passes_untouched() -> None:
    request = video_service_pb2.CreateVideoRequest(model="mini", input=video_pb2.VideoInput(prompt="Waves"))

    assert await _call(VIDEO, request) is request


@pytest.mark.parametrize(
    ("method", "field", "meant"),
    [
        (VIDEO, "Model", "model"),
        (VIDEO, "callbackUrl", "callback_url"),
        (VIDEO, "duration", "input.duration"),
        (VIDEO, "ratio", "input.aspect_ratio"),
        (VIDEO, "image_url", "input.image_urls"),
        (VIDEO, "webhook_url", "callback_url"),
        (VIDEO, "duration_seconds", "input.duration"),
        (VIDEO, "input.model", "model"),
        (VIDEO, "input.callback_url", "callback_url"),
        (VIDEO, "input.webhook_url", "callback_url"),
        (VIDEO, "input.promt", "input.prompt"),
        (VIDEO, "input.imageUrls", "input.image_urls"),
        (VIDEO, "input.image-urls", "input.image_urls"),
        (VIDEO, "input.duration_seconds", "input.duration"),
        (VIDEO, "input.duraton", "input.duration"),
        (VIDEO, "input.ratio", "input.aspect_ratio"),
        (VIDEO, "input.start_image", "input.start_image_url"),
        (JOB, "duration", "duration_seconds"),
        (JOB, "callback_url", "webhook_url"),
        (JOB, "durationSeconds", "duration_seconds"),
        (JOB, "image", "image_urls"),
        (JOB, "video", "video_url or video_urls"),
        (ENDPOINT, "event", "events"),
        (ENDPOINT, "webhook_url", "url"),
        (ENDPOINT, "Enabled", "enabled"),
    ],
)
async def test_an_unknown_name_is_refused_with_the_one_that_was_meant(
    method: str, field: str, meant: str
) -> None:
    assert await _unknown(method, field) == f"Field {field} is not known. Did you mean {meant}?"


@pytest.mark.parametrize(
    ("method", "field", "advice"),
    [
        (VIDEO, "n", "Remove it. Fields of this request: model, input, callback_url, metadata."),
        (VIDEO, "id", "Remove it. Fields of this request: model, input, callback_url, metadata."),
        (ENDPOINT, "active", "Remove it. Fields of this request: url, events, description, enabled."),
        (TEST, "event", "Remove it. Fields of this request: none."),
        (JOB, "input", "Send what is in it without an object around it."),
    ],
)
async def test_an_unknown_name_that_is_near_none_is_refused_with_what_there_is(
    method: str, field: str, advice: str
) -> None:
    assert await _unknown(method, field) == f"Field {field} is not known. {advice}"


@pytest.mark.parametrize("method", [CANCEL, ENDPOINT, TEST])
async def test_what_stands_in_the_path_does_not_stand_in_the_body_too(method: str) -> None:
    message = "Field id stands in the path of the request. Leave it out of the body."

    assert await _unknown(method, "id") == message


SENTENCES: dict[str, tuple[dict[str, str], str]] = {
    "malformed": (
        {"wanted": "a value is missing", "came": "line 2, column 5"},
        "The request body is not valid JSON at line 2, column 5: a value is missing.",
    ),
    "not_an_object": ({"came": "a list"}, "The request body must be a JSON object. It was a list."),
    "repeated_field": (
        {"field": "metadata.a.b"},
        "Field metadata.a.b is given more than once. Send it once.",
    ),
    "null_item": (
        {"field": "input.image_urls[0]"},
        "Field input.image_urls[0] must not be null. Leave the item out.",
    ),
    "wrong_type": (
        {"field": "input.duration", "wanted": "a whole number", "came": 'the text "5"'},
        'Field input.duration must be a whole number. It was the text "5".',
    ),
    "out_of_range": (
        {"field": "input.seed", "came": "the number 2147483648"},
        "Field input.seed must be a whole number from 0 to 2147483647. It was the number 2147483648.",
    ),
    "inexact_number": (
        {"field": "metadata.id", "came": "9007199254740993"},
        "Field metadata.id is a number that would not come back with the same digits. It was 9007199254740993. Write it as text.",
    ),
    "too_deep": ({"field": "metadata.a[0].b"}, "Field metadata must be at most 5 levels deep."),
}


@pytest.mark.parametrize("rule", SENTENCES)
async def test_each_fault_is_told_in_a_sentence_with_the_path_what_is_allowed_and_what_came(
    rule: str,
) -> None:
    fault, message = SENTENCES[rule]

    refused = await _refused_for(rule=rule, **fault)

    assert (refused.reason, refused.message) == (Reason.INVALID_FIELD, message)
    assert refused.status.http == 400


@pytest.mark.parametrize(
    ("came", "seen"),
    [
        ("gzip", "is compressed (gzip)"),
        ("form", "is a form"),
        ("utf-16", "is in UTF-16"),
        ("gRPC", "is a gRPC message"),
        ("whatever", "is not JSON"),
    ],
)
async def test_what_is_not_json_is_of_an_unsupported_type(came: str, seen: str) -> None:
    refused = await _refused_for(rule="not_json", came=came)

    advice = "Send JSON, uncompressed, in UTF-8, with Content-Type: application/json."
    assert refused.message == f"The request body {seen}. {advice}"
    assert (refused.status.http, refused.status.code, refused.status.grpc) == (
        415,
        "invalid_request",
        "INVALID_ARGUMENT",
    )


@pytest.mark.parametrize("field", ["", "a b", "a\nb", "Ä b"])
async def test_a_name_that_would_not_be_seen_to_end_is_quoted(field: str) -> None:
    refused = await _refused_for(rule="repeated_field", field=field)

    assert refused.message.startswith(f"Field {json.dumps(field, ensure_ascii=False)} is ")


async def test_half_a_character_does_not_reach_the_wire() -> None:
    refused = await _refused(
        VIDEO, video_service_pb2.CreateVideoRequest(), '{"rule":"repeated_field","field":"a\\ud83d"}'
    )

    assert refused.metadata["field"].encode() == b"a?"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"rule":"no_such"}',
        '{"rule":[]}',
        "[" * 4000,
        '{"rule":"' + "x" * 5000 + '"}',
    ],
)
async def test_a_header_that_the_edge_did_not_write_is_refused(header: str) -> None:
    refused = await _refused(VIDEO, video_service_pb2.CreateVideoRequest(), header)

    assert refused.message == f"Header {HEADER} is not for callers: leave it out."
    assert refused.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("is_inside", "message"),
    [
        (
            False,
            "Field number 127 of the request is not known. Remove it. Fields of this request: model, input, ",
        ),
        (
            True,
            "Field number 127 of input is not known. Remove it. Fields of input: prompt, generation_type, ",
        ),
    ],
)
async def test_over_grpc_an_unknown_field_is_refused_in_the_same_words(is_inside: bool, message: str) -> None:
    plain = video_pb2.VideoInput(prompt="Waves")
    strange = video_pb2.VideoInput.FromString(plain.SerializeToString() + UNKNOWN_FIELD)
    request = video_service_pb2.CreateVideoRequest(model="mini", input=strange if is_inside else plain)
    if not is_inside:
        request.MergeFromString(UNKNOWN_FIELD)

    refused = await _refused(VIDEO, request)

    assert refused.message.startswith(message)

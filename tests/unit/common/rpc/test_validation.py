from typing import Any, cast

import pytest
from google.protobuf.message import Message
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.key_admin_service_pb2 import KeyRules, SetKeyRulesRequest
from reelgate.admin.v1.signing_secret_service_pb2 import GetSigningRequest
from reelgate.internal.ledger.v1 import ledger_service_pb2
from reelgate.video.v1 import video_pb2, video_service_pb2
from reelgate.webhooks.v1 import webhooks_service_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.validation import validated

HOLD: dict[str, Any] = {"hold_id": "job_1", "account_id": "acct_1", "environment": "live", "amount_micros": 1}


async def _check(request: Message) -> Any:
    async def answer(request: Any, _context: Any) -> Message:
        return cast("Message", request)

    return await validated("/a.B/C", answer)(request, cast("Any", None))


async def _refusal(request: Message) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await _check(request)
    assert refused.value.reason is Reason.INVALID_FIELD
    return refused.value


async def test_a_valid_request_passes_untouched() -> None:
    request = ledger_service_pb2.CreateHoldRequest(**HOLD)

    assert await _check(request) is request


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hold_id": ""}, "Field hold_id is required and must not be empty."),
        ({"environment": "prod"}, 'Field environment must be one of live, test. It was "prod".'),
        ({"amount_micros": 0}, "Field amount_micros must be"),
        ({"amount_micros": 0}, "It was 0."),
        ({"hold_id": "job\0"}, "Field hold_id must not contain NUL characters."),
        ({"hold_id": "x" * 65}, "Field hold_id must be at most 64 characters."),
    ],
)
async def test_a_broken_rule_names_the_field_and_what_is_allowed(
    change: dict[str, Any], message: str
) -> None:
    refused = await _refusal(ledger_service_pb2.CreateHoldRequest(**{**HOLD, **change}))

    assert message in refused.message
    assert refused.metadata == {"field": next(iter(change))}


async def test_a_field_inside_a_message_is_named_by_its_path() -> None:
    request = video_service_pb2.CreateVideoRequest(
        model="mini", input=video_pb2.VideoInput(prompt="Waves", duration=3)
    )

    refused = await _refusal(request)

    assert refused.message.startswith("Field input.duration must be")
    assert refused.message.endswith("It was 3.")


async def test_a_list_that_is_too_long_is_told_by_its_length() -> None:
    urls = ["https://example.com/a.png"] * 10
    request = video_service_pb2.CreateVideoRequest(
        model="mini", input=video_pb2.VideoInput(prompt="Waves", image_urls=urls)
    )

    refused = await _refusal(request)

    assert refused.message.startswith("Field input.image_urls must")
    assert refused.message.endswith("it had 10.")


async def test_an_item_that_is_given_twice_is_named_by_its_place() -> None:
    request = webhooks_service_pb2.CreateWebhookEndpointRequest(
        url="https://example.com/hook", events=["video.completed", "video.failed", "video.completed"]
    )

    refused = await _refusal(request)

    assert refused.message == 'Field events[2] must not be given twice. It was "video.completed".'
    assert refused.metadata == {"field": "events[2]"}


@pytest.mark.parametrize("environment", [0, 9])
async def test_the_refusal_of_an_enum_names_its_values(environment: Any) -> None:
    refused = await _refusal(GetSigningRequest(account_id="acct_1", environment=environment))

    allowed = "ENVIRONMENT_LIVE, ENVIRONMENT_TEST"
    assert refused.message == f"Field environment must be one of {allowed}. It was {environment}."


async def test_the_refusal_of_an_enum_inside_a_message_names_its_values() -> None:
    kind: Any = 9
    request = SetKeyRulesRequest(
        key_id="key_1", rules=KeyRules(kind=kind), audit=AuditNote(actor="ops", reason="why")
    )

    refused = await _refusal(request)

    assert refused.message == "Field rules.kind must be one of KEY_KIND_BUSINESS, KEY_KIND_ADMIN. It was 9."

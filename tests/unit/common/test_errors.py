import json

import grpc
import pytest
from reelgate.errors.v1 import reason_pb2

from services.common.errors import Reason, ServiceError, invalid_field


def test_reasons_are_those_of_the_proto() -> None:
    named = {name.removeprefix("REASON_") for name in reason_pb2.Reason.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    }

    assert {reason.value for reason in Reason} == named


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_status_that_exists(reason: Reason) -> None:
    status = ServiceError(reason, "No.").status

    assert status.grpc in grpc.StatusCode.__members__
    assert 400 <= status.http <= 504
    assert status.code
    assert status.type.endswith("_error")


def test_the_envelope_is_the_error_body_of_the_contract() -> None:
    error = ServiceError(Reason.CREDITS_INSUFFICIENT, "Zu wenig für „heute“.")

    assert json.loads(error.envelope("seedancee2")) == {
        "error": {
            "code": "insufficient_credits",
            "message": "Zu wenig für „heute“.",
            "type": "billing_error",
        }
    }


def test_the_refusal_of_a_field_names_it_its_rule_and_its_value() -> None:
    error = invalid_field("input.duration", "must be between 4 and 15", 3)

    assert error.message == "Field input.duration must be between 4 and 15. It was 3."
    assert error.metadata == {"field": "input.duration"}


def test_a_long_value_is_shown_cut() -> None:
    error = invalid_field("prompt", "is too long", "x" * 5000)

    assert len(error.message) < 200
    assert error.message.endswith("….")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.KEY_INVALID, "unauthorized"),
        (Reason.JOB_NOT_FOUND, "not_found"),
        (Reason.SPEND_LIMIT_EXCEEDED, "spend_limit_exceeded"),
        (Reason.CREDITS_INSUFFICIENT, "insufficient_credits"),
        (Reason.INVALID_FIELD, "invalid_request"),
        (Reason.INTERNAL, "internal_error"),
    ],
)
def test_nextapi_has_its_own_envelope_and_codes(reason: Reason, code: str) -> None:
    body = json.loads(ServiceError(reason, "Because.").envelope("nextapi"))

    assert body == {"error": {"code": code, "message": "Because."}}

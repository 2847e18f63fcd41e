"""The one way to fail: an error with a reason, raised anywhere, mapped to a status here."""

import json
from dataclasses import dataclass, replace
from enum import StrEnum


class Reason(StrEnum):
    """Why a call was refused. Values go on the wire: add, never rename. Equal to protos/reelgate/errors."""

    INVALID_FIELD = "INVALID_FIELD"
    KEY_INVALID = "KEY_INVALID"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    CREDITS_INSUFFICIENT = "CREDITS_INSUFFICIENT"
    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    GRANT_MISMATCH = "GRANT_MISMATCH"
    HOLD_NOT_FOUND = "HOLD_NOT_FOUND"
    HOLD_MISMATCH = "HOLD_MISMATCH"
    HOLD_CAPTURED = "HOLD_CAPTURED"
    HOLD_RELEASED = "HOLD_RELEASED"
    HOLD_EXPIRED = "HOLD_EXPIRED"
    AMOUNT_ABOVE_HOLD = "AMOUNT_ABOVE_HOLD"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    SPEND_LIMIT_EXCEEDED = "SPEND_LIMIT_EXCEEDED"
    CORRECTION_MISMATCH = "CORRECTION_MISMATCH"
    REFUND_MISMATCH = "REFUND_MISMATCH"
    REFUND_ABOVE_CHARGE = "REFUND_ABOVE_CHARGE"
    HOLD_NOT_CAPTURED = "HOLD_NOT_CAPTURED"
    PRICE_MISMATCH = "PRICE_MISMATCH"
    KEY_DISABLED = "KEY_DISABLED"
    JOB_ENDED = "JOB_ENDED"
    JOB_STORED = "JOB_STORED"
    JOB_NOT_COMPLETED = "JOB_NOT_COMPLETED"
    ENDPOINT_NOT_FOUND = "ENDPOINT_NOT_FOUND"
    ENDPOINT_LIMIT_REACHED = "ENDPOINT_LIMIT_REACHED"
    ENDPOINT_DISABLED = "ENDPOINT_DISABLED"
    ENDPOINT_NOT_ROTATING = "ENDPOINT_NOT_ROTATING"
    DELIVERY_NOT_FOUND = "DELIVERY_NOT_FOUND"
    DELIVERY_PENDING = "DELIVERY_PENDING"
    REDELIVERY_NOT_FOUND = "REDELIVERY_NOT_FOUND"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IDEMPOTENCY_KEY_IN_USE = "IDEMPOTENCY_KEY_IN_USE"
    RATE_LIMITED = "RATE_LIMITED"
    CONTENT_REFUSED = "CONTENT_REFUSED"
    JOB_NOT_CANCELABLE = "JOB_NOT_CANCELABLE"
    JOB_LIMIT_REACHED = "JOB_LIMIT_REACHED"
    SIGNING_NOT_ROTATING = "SIGNING_NOT_ROTATING"
    EVENT_NOT_FOUND = "EVENT_NOT_FOUND"
    BODY_NOT_JSON = "BODY_NOT_JSON"
    JOB_UNFINISHED = "JOB_UNFINISHED"
    UPLOAD_NOT_FOUND = "UPLOAD_NOT_FOUND"
    UPLOAD_LIMIT_REACHED = "UPLOAD_LIMIT_REACHED"
    LISTENER_NOT_FOUND = "LISTENER_NOT_FOUND"
    LISTENER_LIMIT_REACHED = "LISTENER_LIMIT_REACHED"


@dataclass(frozen=True)
class Status:
    """How a reason shows: gRPC status name, HTTP status, code and type of the Seedancee2 contract, code of NextAPI's."""

    grpc: str
    http: int
    code: str
    type: str
    nextapi_code: str = ""
    """Where it differs from `code`."""


_BAD_REQUEST = Status("INVALID_ARGUMENT", 400, "invalid_request", "invalid_request_error")
_NOT_FOUND = Status("NOT_FOUND", 404, "not_found", "invalid_request_error")
_CONFLICT = Status("FAILED_PRECONDITION", 409, "conflict", "invalid_request_error")
_TOO_MUCH = Status("RESOURCE_EXHAUSTED", 429, "rate_limit_exceeded", "rate_limit_error")
_PAYMENT_REQUIRED = Status("FAILED_PRECONDITION", 402, "insufficient_credits", "billing_error")

STATUS_BY_REASON = {
    Reason.INVALID_FIELD: _BAD_REQUEST,
    Reason.KEY_INVALID: Status(
        "UNAUTHENTICATED", 401, "invalid_api_key", "authentication_error", nextapi_code="unauthorized"
    ),
    Reason.MODEL_NOT_FOUND: replace(_NOT_FOUND, code="model_not_found", nextapi_code="not_found"),
    Reason.JOB_NOT_FOUND: replace(_NOT_FOUND, code="task_not_found", nextapi_code="not_found"),
    Reason.CREDITS_INSUFFICIENT: _PAYMENT_REQUIRED,
    Reason.ACCOUNT_NOT_FOUND: _NOT_FOUND,
    Reason.KEY_NOT_FOUND: _NOT_FOUND,
    Reason.GRANT_MISMATCH: _CONFLICT,
    Reason.HOLD_NOT_FOUND: _NOT_FOUND,
    Reason.HOLD_MISMATCH: _CONFLICT,
    Reason.HOLD_CAPTURED: _CONFLICT,
    Reason.HOLD_RELEASED: _CONFLICT,
    Reason.HOLD_EXPIRED: _CONFLICT,
    Reason.AMOUNT_ABOVE_HOLD: _BAD_REQUEST,
    Reason.UNAVAILABLE: Status("UNAVAILABLE", 503, "internal_error", "api_error"),
    Reason.INTERNAL: Status("INTERNAL", 500, "internal_error", "api_error"),
    Reason.DEADLINE_EXCEEDED: Status("DEADLINE_EXCEEDED", 504, "internal_error", "api_error"),
    Reason.SPEND_LIMIT_EXCEEDED: replace(_PAYMENT_REQUIRED, nextapi_code="spend_limit_exceeded"),
    Reason.CORRECTION_MISMATCH: _CONFLICT,
    Reason.REFUND_MISMATCH: _CONFLICT,
    Reason.REFUND_ABOVE_CHARGE: _BAD_REQUEST,
    Reason.HOLD_NOT_CAPTURED: _CONFLICT,
    Reason.PRICE_MISMATCH: _CONFLICT,
    Reason.KEY_DISABLED: _CONFLICT,
    Reason.JOB_ENDED: _CONFLICT,
    Reason.JOB_STORED: _CONFLICT,
    Reason.JOB_NOT_COMPLETED: _CONFLICT,
    Reason.ENDPOINT_NOT_FOUND: _NOT_FOUND,
    Reason.ENDPOINT_LIMIT_REACHED: _CONFLICT,
    Reason.ENDPOINT_DISABLED: _CONFLICT,
    Reason.ENDPOINT_NOT_ROTATING: _CONFLICT,
    Reason.DELIVERY_NOT_FOUND: _NOT_FOUND,
    Reason.DELIVERY_PENDING: _CONFLICT,
    Reason.REDELIVERY_NOT_FOUND: _NOT_FOUND,
    Reason.IDEMPOTENCY_KEY_REUSED: Status(
        "FAILED_PRECONDITION", 422, "idempotency_conflict", "invalid_request_error"
    ),
    Reason.IDEMPOTENCY_KEY_IN_USE: Status("ABORTED", 409, "idempotency_conflict", "invalid_request_error"),
    Reason.RATE_LIMITED: _TOO_MUCH,
    Reason.CONTENT_REFUSED: replace(_BAD_REQUEST, nextapi_code="content_policy_violation"),
    Reason.JOB_NOT_CANCELABLE: _CONFLICT,
    Reason.JOB_LIMIT_REACHED: _TOO_MUCH,
    Reason.SIGNING_NOT_ROTATING: _CONFLICT,
    Reason.EVENT_NOT_FOUND: _NOT_FOUND,
    Reason.BODY_NOT_JSON: replace(_BAD_REQUEST, http=415),
    Reason.JOB_UNFINISHED: _CONFLICT,
    Reason.UPLOAD_NOT_FOUND: _NOT_FOUND,
    Reason.UPLOAD_LIMIT_REACHED: _CONFLICT,
    Reason.LISTENER_NOT_FOUND: _NOT_FOUND,
    Reason.LISTENER_LIMIT_REACHED: _CONFLICT,
}
assert STATUS_BY_REASON.keys() == set(Reason), "every reason needs a status"

REFUSAL_BY_GRPC = {
    status.grpc: status
    for status in (
        _BAD_REQUEST,
        _NOT_FOUND,
        _CONFLICT,
        _TOO_MUCH,
        STATUS_BY_REASON[Reason.KEY_INVALID],
        STATUS_BY_REASON[Reason.IDEMPOTENCY_KEY_IN_USE],
    )
}
"""How a refusal shows if only its gRPC status is known. Other statuses are our own failures."""


@dataclass(frozen=True)
class NewerReason:
    """A reason that a newer service gave and this process does not know: one of REFUSAL_BY_GRPC is all it shows."""

    name: str
    status: Status

    def __str__(self) -> str:
        return self.name


OUTAGE_MESSAGE = {
    Reason.UNAVAILABLE: "The service is not available at the moment. Please try again.",
    Reason.DEADLINE_EXCEEDED: "The call did not finish in time. Please try again.",
    Reason.INTERNAL: "Unexpected server error.",
}
"""What customers read when something fails on our side."""


class ServiceError(Exception):
    """A refusal: a reason for programs, a sentence that tells a person what to do, and the facts in it.

    The fact `retry_after_seconds` says when repeating the call may help. Sentence and facts name no part of the
    system: customers read them.
    """

    detail = ""
    """More about a failure on our side, for operators. It is logged and never sent."""

    def __init__(self, reason: Reason | NewerReason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata

    @property
    def status(self) -> Status:
        """How the reason shows on the wire."""
        return self.reason.status if isinstance(self.reason, NewerReason) else STATUS_BY_REASON[self.reason]

    def envelope(self, contract: str) -> bytes:
        """Returns the finished error body of a contract, as JSON: `nextapi`'s or, for any other, Seedancee2's."""
        status = self.status
        if contract == "nextapi":
            error = {"code": status.nextapi_code or status.code, "message": self.message}
        else:
            error = {"code": status.code, "message": self.message, "type": status.type}
        return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":")).encode()


def outage(reason: Reason, *, detail: str = "") -> ServiceError:
    """Returns the refusal of a call because of a failure of ours: one of OUTAGE_MESSAGE."""
    error = ServiceError(reason, OUTAGE_MESSAGE[reason])
    error.detail = detail
    return error


def invalid_field(field: str, rule: str, value: object = None) -> ServiceError:
    """Returns the refusal of one field: `rule` completes "Field x …"; `value` is shown, cut to 100 characters."""
    shown = "" if value is None else f" It was {_shown(value)}."
    return ServiceError(Reason.INVALID_FIELD, f"Field {field} {rule}.{shown}", field=field)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:100]}…"

"""What statuses and error codes of OpenAI's video API mean, and of the gateways that imitate it."""

from dataclasses import dataclass

from services.upstream.bodies import UnusableBodyError, member, parse_object, text
from services.upstream.call import Answer
from services.upstream.provider import (
    BadReference,
    BrokenCause,
    BrokenError,
    BusyError,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)

_CODE_LENGTH_MAX = 128
_CONTENT = ("moderation_blocked", "content_policy_violation", "content_filter")
# new-api hands on the codes of the providers behind it.
_CONTENT_ELSEWHERE = ("sensitivecontentdetected", "riskdetection", "moderation")
_PROVIDERS_FAULT = ("internal_error", "internal_server_error", "server_error", "service_unavailable")
_QUOTA = ("insufficient_quota", "insufficient_user_quota", "billing_hard_limit_reached", "quota_exceeded")
_MODEL = ("model_not_found", "invalid_model", "model_price_error")
_UNKNOWN_TASK = "task_not_exist"
_REFERENCE = "input_reference"


@dataclass(frozen=True, kw_only=True)
class VideoError:
    """An error envelope. Missing fields are empty."""

    code: str = ""
    kind: str = ""
    """OpenAI's `type`."""
    parameter: str = ""

    @property
    def name(self) -> str:
        """What the error is called, as exactly as it says."""
        return self.code or self.kind

    def is_one_of(self, names: tuple[str, ...]) -> bool:
        """Returns whether the code or the type is among these."""
        return self.code.lower() in names or self.kind.lower() in names


def parse_error(body: bytes) -> VideoError:
    """Returns an error envelope; it is empty if the body is something else.

    new-api has `code` and `message` at the top where it found the error itself.
    """
    try:
        envelope = parse_object(body)
    except UnusableBodyError:
        return VideoError()
    return error_of(member(envelope, "error") or envelope)


def error_of(error: object) -> VideoError:
    """Returns the error in a task or an envelope."""
    said = error if isinstance(error, dict) else {}
    return VideoError(
        code=text(said.get("code"), length_max=_CODE_LENGTH_MAX),
        kind=text(said.get("type"), length_max=_CODE_LENGTH_MAX),
        parameter=text(said.get("param"), length_max=_CODE_LENGTH_MAX),
    )


def refusal(error: VideoError, *, otherwise: RefusalKind, detail: str) -> Refused:
    """Returns what an error says about an order, in an answer or in a failed task."""
    if error.is_one_of(_CONTENT) or any(mark in error.code.lower() for mark in _CONTENT_ELSEWHERE):
        return Refused(kind=RefusalKind.CONTENT, detail=detail)
    if error.parameter.startswith(_REFERENCE):
        reference = BadReference(position=0, is_image=True)
        return Refused(kind=RefusalKind.INPUT_MEDIA, detail=detail, reference=reference)
    if error.is_one_of(_PROVIDERS_FAULT):
        return Refused(kind=RefusalKind.UNAVAILABLE, detail=detail)
    return Refused(kind=otherwise, detail=detail)


def submission_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means.

    A gateway can answer 5xx or 408 although the task was stored, so these never mean that nothing was started.
    """
    error = parse_error(answer.body)
    detail = f"submission answered {answer.status} {error.name}".rstrip()
    if answer.status >= 500 or answer.status == 408:
        return UnknownError(detail)
    if common := _common_error(answer, error, detail=detail):
        return common
    if answer.status in {404, 405} or answer.status < 400 or not error.name or error.is_one_of(_MODEL):
        return BrokenError(detail, cause=BrokenCause.MODEL)
    return RefusedError(refusal(error, otherwise=RefusalKind.PARAMETERS, detail=detail))


def reading_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    error = parse_error(answer.body)
    detail = f"read answered {answer.status} {error.name}".rstrip()
    if answer.status >= 500 or answer.status == 408:
        return UnreachableError(detail)
    return _common_error(answer, error, detail=detail) or BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(answer: Answer) -> bool:
    """Returns whether a read says that the task is gone, and not that our path or model is wrong."""
    error = parse_error(answer.body)
    if error.code == _UNKNOWN_TASK:
        return True
    return answer.status == 404 and bool(error.name) and not error.is_one_of(_MODEL)


def _common_error(answer: Answer, error: VideoError, *, detail: str) -> UpstreamError | None:
    if answer.status == 402 or error.is_one_of(_QUOTA):
        return BrokenError(detail, cause=BrokenCause.QUOTA)
    if answer.status in {401, 403} and not error.is_one_of(_CONTENT):
        return BrokenError(detail, cause=BrokenCause.CREDENTIAL)
    if answer.status == 429:
        return BusyError(detail, retry_after_seconds=answer.retry_after_seconds)
    return None

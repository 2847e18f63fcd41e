"""What OpenRouter's statuses and error texts mean. Its errors have a number and a sentence, and no code."""

from dataclasses import dataclass

from services.upstream.bodies import UnusableBodyError, member, parse_object, text
from services.upstream.call import Answer
from services.upstream.provider import (
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

_CONTENT = ("moderation", "content policy", "content_policy", "safety", "flagged", "sensitive", "prohibited")
_PROVIDERS_FAULT = (
    "provider returned",
    "provider error",
    "internal",
    "timed out",
    "timeout",
    "overloaded",
    "unavailable",
)
_CAUSES = {
    401: BrokenCause.CREDENTIAL,
    402: BrokenCause.QUOTA,
    403: BrokenCause.CREDENTIAL,
    404: BrokenCause.MODEL,
    405: BrokenCause.MODEL,
}


@dataclass(frozen=True, kw_only=True)
class RouterError:
    """An error envelope. Missing fields are empty."""

    is_envelope: bool = False
    message: str = ""
    is_moderation: bool = False
    """Whether the envelope says what was flagged."""

    @property
    def is_about_content(self) -> bool:
        """Whether the order was refused for what it shows or says."""
        return self.is_moderation or _says(self.message, _CONTENT)


def parse_error(body: bytes) -> RouterError:
    """Returns an error envelope; it is empty if the body is something else."""
    try:
        error = member(parse_object(body), "error")
    except UnusableBodyError:
        return RouterError()
    metadata = member(error, "metadata")
    return RouterError(
        is_envelope=bool(error),
        message=text(error.get("message")),
        is_moderation="reasons" in metadata or "flagged_input" in metadata,
    )


def failure(message: str) -> Refused:
    """Returns what the sentence of a failed task says."""
    if _says(message, _CONTENT):
        return Refused(kind=RefusalKind.CONTENT, detail="task failed for its content")
    if _says(message, _PROVIDERS_FAULT):
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task failed at the provider behind")
    return Refused(kind=RefusalKind.FAILED, detail="task failed")


def submission_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means.

    Only 503 says that no provider was there to take the order. After 408, 502 and the rest, one may have.
    """
    error, detail = parse_error(answer.body), f"submission answered {answer.status}"
    if answer.status == 503 and error.is_envelope:
        return BusyError(detail, retry_after_seconds=answer.retry_after_seconds)
    if answer.status >= 500 or answer.status == 408:
        return UnknownError(detail)
    if answer.status in {400, 403, 422} and error.is_about_content:
        return RefusedError(Refused(kind=RefusalKind.CONTENT, detail=detail))
    if common := _common_error(answer, detail=detail):
        return common
    if not error.is_envelope or answer.status < 400:
        return BrokenError(detail, cause=BrokenCause.MODEL)
    return RefusedError(Refused(kind=RefusalKind.PARAMETERS, detail=detail))


def reading_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    detail = f"read answered {answer.status}"
    if answer.status >= 500 or answer.status == 408:
        return UnreachableError(detail)
    return _common_error(answer, detail=detail) or BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(answer: Answer) -> bool:
    """Returns whether a read says that the task is gone, and not that our path is wrong."""
    return answer.status == 404 and parse_error(answer.body).is_envelope


def _common_error(answer: Answer, *, detail: str) -> UpstreamError | None:
    if answer.status == 429:
        return BusyError(detail, retry_after_seconds=answer.retry_after_seconds)
    cause = _CAUSES.get(answer.status)
    return BrokenError(detail, cause=cause) if cause else None


def _says(message: str, marks: tuple[str, ...]) -> bool:
    lowered = message.lower()
    return any(mark in lowered for mark in marks)

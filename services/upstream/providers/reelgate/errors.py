"""What another Reelgate says by its codes: those of the NextAPI contract, and of the reasons of failed jobs."""

from services.upstream.bodies import UnusableBodyError, member, parse_object, text
from services.upstream.call import Answer
from services.upstream.provider import (
    BadReference,
    BrokenCause,
    BrokenError,
    BusyError,
    ReferenceFault,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)

UNKNOWN_JOB = "not_found"
_CODE_LENGTH_MAX = 64
_KINDS = {
    "generation_failed": RefusalKind.FAILED,
    "input_media_error": RefusalKind.INPUT_MEDIA,
    "content_policy_violation": RefusalKind.CONTENT,
    "timeout": RefusalKind.EXPIRED,
    "canceled": RefusalKind.FAILED,
}
_FAULTS = {
    "could not be downloaded": ReferenceFault.NOT_FETCHED,
    "could not be read": ReferenceFault.NOT_READABLE,
    "is outside of": ReferenceFault.OUT_OF_BOUNDS,
}
"""The sentences of an unusable file, which the contract tells no other way."""


def code_of(body: bytes) -> str:
    """Returns the code of an error envelope; it is empty if the body is something else."""
    try:
        return text(member(parse_object(body), "error").get("code"), length_max=_CODE_LENGTH_MAX)
    except UnusableBodyError:
        return ""


def failure(error: dict[str, object]) -> Refused:
    """Returns why a job failed."""
    code = text(error.get("code"), length_max=_CODE_LENGTH_MAX)
    kind = _KINDS.get(code, RefusalKind.FAILED)
    reference = _bad_reference(text(error.get("message"))) if kind is RefusalKind.INPUT_MEDIA else None
    return Refused(kind=kind, detail=f"job failed {code}".rstrip(), reference=reference or BadReference())


def submission_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to an order means.

    After a 5xx, and while the same Idempotency-Key is at work or was used otherwise, the job may be there.
    """
    code = code_of(answer.body)
    detail = f"submission answered {answer.status} {code}".rstrip()
    if answer.status >= 500 or answer.status in {408, 409, 422}:
        return UnknownError(detail)
    if common := _common_error(answer, detail=detail):
        return common
    if answer.status == 400 and code == "content_policy_violation":
        return RefusedError(Refused(kind=RefusalKind.CONTENT, detail=detail))
    if answer.status == 400 and code:
        return RefusedError(Refused(kind=RefusalKind.PARAMETERS, detail=detail))
    return BrokenError(detail, cause=BrokenCause.MODEL)


def reading_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    detail = f"read answered {answer.status} {code_of(answer.body)}".rstrip()
    if answer.status >= 500 or answer.status == 408:
        return UnreachableError(detail)
    return _common_error(answer, detail=detail) or BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(answer: Answer) -> bool:
    """Returns whether a read says that the job is gone. A wrong path has the same code, but orders nothing either."""
    return answer.status == 404 and code_of(answer.body) == UNKNOWN_JOB


def _common_error(answer: Answer, *, detail: str) -> UpstreamError | None:
    if answer.status == 402:
        return BrokenError(detail, cause=BrokenCause.QUOTA)
    if answer.status in {401, 403}:
        return BrokenError(detail, cause=BrokenCause.CREDENTIAL)
    if answer.status == 429:
        return BusyError(detail, retry_after_seconds=answer.retry_after_seconds)
    return None


def _bad_reference(message: str) -> BadReference:
    """Returns what a sentence says that begins with the places where the file may stand in the order."""
    places = message.split(" ", 1)[0]
    found = (fault for words, fault in _FAULTS.items() if words in message)
    return BadReference(is_image="image" in places, fault=next(found, ReferenceFault.UNKNOWN))

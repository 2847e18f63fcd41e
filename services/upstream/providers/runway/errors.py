"""What Runway's statuses and failure codes mean. Codes are matched by prefix; the sentences beside them are not read."""

from services.upstream.bodies import UnusableBodyError, parse_object
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

_KIND_BY_PREFIX = (
    ("SAFETY", RefusalKind.CONTENT),
    ("INPUT_PREPROCESSING.SAFETY", RefusalKind.CONTENT),
    ("ASSET.INVALID", RefusalKind.INPUT_MEDIA),
    ("INTERNAL", RefusalKind.UNAVAILABLE),
    ("INPUT_PREPROCESSING.INTERNAL", RefusalKind.UNAVAILABLE),
    ("THIRD_PARTY.UNAVAILABLE", RefusalKind.UNAVAILABLE),
)
_CAUSES = {
    401: BrokenCause.CREDENTIAL,
    402: BrokenCause.QUOTA,
    403: BrokenCause.CREDENTIAL,
    404: BrokenCause.MODEL,
    405: BrokenCause.MODEL,
}


def failure(code: str) -> Refused:
    """Returns what the code of a failed task says."""
    named = (kind for prefix, kind in _KIND_BY_PREFIX if f"{code}.".startswith(f"{prefix}."))
    return Refused(kind=next(named, RefusalKind.FAILED), detail=f"task failed {code}".rstrip())


def submission_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means.

    Of the 5xx only a 503 of the API itself says that nothing was started: Runway asks its clients to send the order again.
    A gateway can answer the others although the task was stored.
    """
    detail = f"submission answered {answer.status}"
    if answer.status == 503 and _is_envelope(answer.body):
        return UnreachableError(detail)
    if answer.status >= 500 or answer.status == 408:
        return UnknownError(detail)
    if common := _common_error(answer, detail=detail):
        return common
    if answer.status < 400 or not _is_envelope(answer.body):
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
    return answer.status == 404 and _is_envelope(answer.body)


def _common_error(answer: Answer, *, detail: str) -> UpstreamError | None:
    if answer.status == 429:
        # It may also be the limit of a day. Nothing but the sentence says so.
        return BusyError(detail, retry_after_seconds=answer.retry_after_seconds)
    cause = _CAUSES.get(answer.status)
    return BrokenError(detail, cause=cause) if cause else None


def _is_envelope(body: bytes) -> bool:
    try:
        return "error" in parse_object(body)
    except UnusableBodyError:
        return False

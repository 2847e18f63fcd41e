"""What MiniMax's statuses, and the numbers of its errors, mean. A number stands at the end of the sentence, if at all."""

import re
from typing import Any

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

_NUMBER = re.compile(r"\((\d{4})\)\s*$")
_KINDS = {
    "1000": RefusalKind.UNAVAILABLE,
    "1002": RefusalKind.UNAVAILABLE,
    "1026": RefusalKind.CONTENT,
    "1027": RefusalKind.CONTENT,
    "2013": RefusalKind.PARAMETERS,
    "server_error": RefusalKind.UNAVAILABLE,
    "rate_limit_error": RefusalKind.UNAVAILABLE,
    "unprocessable_entity_error": RefusalKind.CONTENT,
    "bad_request_error": RefusalKind.PARAMETERS,
}
_CAUSES = {
    401: BrokenCause.CREDENTIAL,
    402: BrokenCause.QUOTA,
    403: BrokenCause.CREDENTIAL,
    404: BrokenCause.MODEL,
    405: BrokenCause.MODEL,
}


def failure(error: dict[str, Any]) -> Refused:
    """Returns what the error of a failed task says: by its code, or by the number that its sentence ends with."""
    code = str(error.get("code", ""))[:64]
    kind = _KINDS.get(code) or _KINDS.get(_number(error), RefusalKind.FAILED)
    return Refused(kind=kind, detail=f"task failed {code}".rstrip())


def submission_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means. After 408 and any 5xx, a task may have been stored."""
    detail = f"submission answered {answer.status}"
    if answer.status >= 500 or answer.status == 408:
        return UnknownError(detail)
    if common := _common_error(answer, detail=detail):
        return common
    error = _envelope(answer.body)
    if answer.status < 400 or not error:
        return BrokenError(detail, cause=BrokenCause.MODEL)
    kind = _KINDS.get(_number(error)) or _KINDS.get(text(error.get("type")), RefusalKind.PARAMETERS)
    return RefusedError(Refused(kind=kind, detail=detail))


def reading_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    detail = f"read answered {answer.status}"
    if answer.status >= 500 or answer.status == 408:
        return UnreachableError(detail)
    return _common_error(answer, detail=detail) or BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(answer: Answer) -> bool:
    """Returns whether a read says that the task is gone, and not that our path is wrong."""
    return answer.status == 404 and bool(_envelope(answer.body))


def _common_error(answer: Answer, *, detail: str) -> UpstreamError | None:
    if answer.status == 429:
        return BusyError(detail, retry_after_seconds=answer.retry_after_seconds)
    cause = _CAUSES.get(answer.status)
    return BrokenError(detail, cause=cause) if cause else None


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        return member(parse_object(body), "error")
    except UnusableBodyError:
        return {}


def _number(error: dict[str, Any]) -> str:
    found = _NUMBER.search(text(error.get("message")))
    return found[1] if found else ""

"""What Replicate's HTTP statuses mean, and the codes in the errors of predictions."""

import re

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

_CODE = re.compile(r"\((E\d{3,4})\)")
_KINDS = {
    "E005": RefusalKind.CONTENT,
    "E006": RefusalKind.PARAMETERS,
    **dict.fromkeys(("E001", "E002", "E003", "E004", "E6716", "E9243"), RefusalKind.UNAVAILABLE),
}


def failure(error: str) -> Refused:
    """Returns why a prediction failed. Its error is a sentence, in which a code stands in brackets."""
    code = _CODE.search(error)
    name = code[1] if code else ""
    kind = _KINDS.get(name, RefusalKind.FAILED)
    return Refused(kind=kind, detail=f"prediction failed {name}".rstrip())


def submission_error(
    status: int, *, is_of_replicate: bool, retry_after_seconds: float | None
) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means. After a 5xx the prediction may be there."""
    detail = f"submission answered {status}"
    if status >= 500 or status in {408, 409}:
        return UnknownError(detail)
    if common := _common_error(status, retry_after_seconds=retry_after_seconds, detail=detail):
        return common
    if status in {400, 422} and is_of_replicate:
        return RefusedError(Refused(kind=RefusalKind.PARAMETERS, detail=detail))
    return BrokenError(detail, cause=BrokenCause.MODEL)


def reading_error(status: int, *, retry_after_seconds: float | None) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    detail = f"read answered {status}"
    if status >= 500 or status == 408:
        return UnreachableError(detail)
    common = _common_error(status, retry_after_seconds=retry_after_seconds, detail=detail)
    return common or BrokenError(detail, cause=BrokenCause.MODEL)


def _common_error(status: int, *, retry_after_seconds: float | None, detail: str) -> UpstreamError | None:
    if status == 402:
        return BrokenError(detail, cause=BrokenCause.QUOTA)
    if status in {401, 403}:
        return BrokenError(detail, cause=BrokenCause.CREDENTIAL)
    if status == 429:
        return BusyError(detail, retry_after_seconds=retry_after_seconds)
    return None

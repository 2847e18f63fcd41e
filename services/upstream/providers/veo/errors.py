"""What the statuses and error codes of Google's API mean: in answers by name, in ended operations by number."""

import re
from dataclasses import dataclass
from typing import Any, Final

from services.upstream.bodies import UnusableBodyError, member, parse_object, text
from services.upstream.call import RETRY_AFTER_SECONDS_MAX, Answer
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

_INVALID_ARGUMENT: Final = 3
_PROVIDERS_FAULT: Final = frozenset({4, 7, 8, 10, 13, 14})
"""Deadline exceeded, permission denied, exhausted, aborted, internal, unavailable: nothing that the order could change."""
# Refusals for content come as invalid arguments, and only their sentence tells.
_CONTENT = re.compile(
    r"(?i)safety|responsible ai|usage guidelines|content polic|prohibited|sensitive|blocked"
)
_SECONDS = re.compile(r"([0-9]{1,9})(?:\.[0-9]+)?s")


@dataclass(frozen=True, kw_only=True)
class GoogleError:
    """An error of Google's. Missing fields are empty."""

    status: str = ""
    """Such as INVALID_ARGUMENT."""
    code: int = 0
    """Of google.rpc in an operation; the HTTP status in an answer."""
    message: str = ""
    reasons: tuple[str, ...] = ()
    """Such as API_KEY_INVALID."""
    retry_seconds: float | None = None

    @property
    def is_about_content(self) -> bool:
        """Whether the order was refused for what it shows or says."""
        return bool(_CONTENT.search(self.message))


def parse_error(body: bytes) -> GoogleError:
    """Returns an error envelope; it is empty if the body is something else."""
    try:
        return error_of(member(parse_object(body), "error"))
    except UnusableBodyError:
        return GoogleError()


def error_of(said: dict[str, Any]) -> GoogleError:
    """Returns the error of an envelope or an operation."""
    code, details = said.get("code"), said.get("details")
    listed = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    return GoogleError(
        status=text(said.get("status"), length_max=64),
        code=code if isinstance(code, int) else 0,
        message=text(said.get("message")),
        reasons=tuple(text(each.get("reason"), length_max=64) for each in listed if each.get("reason")),
        retry_seconds=next(filter(None, (_seconds(each.get("retryDelay")) for each in listed)), None),
    )


def failure(error: GoogleError) -> Refused:
    """Returns what the error of an ended operation says."""
    detail = f"operation failed {error.code}"
    if error.is_about_content:
        return Refused(kind=RefusalKind.CONTENT, detail=detail)
    if error.code == _INVALID_ARGUMENT:
        return Refused(kind=RefusalKind.PARAMETERS, detail=detail)
    if error.code in _PROVIDERS_FAULT:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail=detail)
    return Refused(kind=RefusalKind.FAILED, detail=detail)


def submission_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means.

    Only a 503 that the API wrote itself says that nothing was started; after other 5xx an operation may run.
    """
    error = parse_error(answer.body)
    detail = f"submission answered {answer.status} {error.status}".rstrip()
    if answer.status == 503 and error.status:
        return _busy(answer, error, detail=detail)
    if answer.status >= 500 or answer.status == 408:
        return UnknownError(detail)
    if common := _common_error(answer, error, detail=detail):
        return common
    if answer.status != 400 or not error.status:
        return BrokenError(detail, cause=BrokenCause.MODEL)
    kind = RefusalKind.CONTENT if error.is_about_content else RefusalKind.PARAMETERS
    return RefusedError(Refused(kind=kind, detail=detail))


def reading_error(answer: Answer) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    error = parse_error(answer.body)
    detail = f"read answered {answer.status} {error.status}".rstrip()
    if answer.status >= 500 or answer.status == 408:
        return UnreachableError(detail)
    return _common_error(answer, error, detail=detail) or BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(answer: Answer) -> bool:
    """Returns whether a read says that the operation is gone, and not that our path is wrong."""
    return answer.status == 404 and parse_error(answer.body).status == "NOT_FOUND"


def _common_error(answer: Answer, error: GoogleError, *, detail: str) -> UpstreamError | None:
    if any(reason.startswith("API_KEY_") for reason in error.reasons) or answer.status in {401, 403}:
        return BrokenError(detail, cause=BrokenCause.CREDENTIAL)
    # Said where an account has no billing, or no access from our region.
    if answer.status == 402 or error.status == "FAILED_PRECONDITION":
        return BrokenError(detail, cause=BrokenCause.QUOTA)
    return _busy(answer, error, detail=detail) if answer.status == 429 else None


def _busy(answer: Answer, error: GoogleError, *, detail: str) -> BusyError:
    return BusyError(detail, retry_after_seconds=answer.retry_after_seconds or error.retry_seconds)


def _seconds(value: object) -> float | None:
    found = _SECONDS.fullmatch(value) if isinstance(value, str) else None
    return float(min(int(found[1]), RETRY_AFTER_SECONDS_MAX)) if found else None

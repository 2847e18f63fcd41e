"""What ModelArk's HTTP statuses and error codes mean. Codes count by prefix; messages are never read."""

from services.upstream.contract import (
    BrokenError,
    BusyError,
    RefusalKind,
    Refused,
    RefusedError,
    UnknownError,
    UnreachableError,
    UpstreamError,
)

RETRY_AFTER_SECONDS_MAX = 300
# The code stands both for a full queue and for a used-up trial, so waiting briefly rarely helps.
QUOTA_RETRY_AFTER_SECONDS = 60.0

_CONTENT = (
    "SensitiveContentDetected",
    "ContentSecurityDetectionError",
    *(
        f"{side}{medium}{finding}"
        for side in ("Input", "Output")
        for medium in ("Text", "Image", "Video", "Audio")
        for finding in ("SensitiveContentDetected", "RiskDetection")
    ),
)
_KIND_BY_PREFIX = (
    (_CONTENT, RefusalKind.CONTENT),
    (("InvalidImageURL",), RefusalKind.INPUT_MEDIA),
    (("InvalidParameter", "MissingParameter"), RefusalKind.PARAMETERS),
)
_OUR_FAULT = (
    "AuthenticationError",
    "InvalidAccountStatus",
    "AccessDenied",
    "AccountOverdueError",
    "OperationDenied",
    "InvalidEndpoint",
    "ModelNotOpen",
    "AccountQuotaExceeded",
    "SetLimitExceeded",
)


def refusal_kind(code: str, *, otherwise: RefusalKind) -> RefusalKind:
    """Returns which kind of refusal an error code belongs to, for answers and for failed tasks alike."""
    return next((kind for prefixes, kind in _KIND_BY_PREFIX if code.startswith(prefixes)), otherwise)


def submission_error(status: int, code: str, *, retry_after: str | None) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means; `code` is empty if the body had no error envelope.

    A gateway in between can answer 5xx or 408 although the task was stored, so those are never "nothing started".
    """
    detail = f"submission answered {status} {code}".rstrip()
    if status >= 500 or status == 408:
        return UnknownError(detail)
    if error := _common_error(status, code, retry_after=retry_after, detail=detail):
        return error
    names_our_model = status == 404 and not code.startswith("NotFound.")
    if status < 400 or not code or names_our_model:
        return BrokenError(detail)
    return RefusedError(Refused(kind=refusal_kind(code, otherwise=RefusalKind.PARAMETERS), detail=detail))


def reading_error(status: int, code: str, *, retry_after: str | None) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. Reads refuse nothing, so an odd 4xx is our own fault."""
    detail = f"read answered {status} {code}".rstrip()
    if status >= 500 or status == 408:
        return UnreachableError(detail)
    return _common_error(status, code, retry_after=retry_after, detail=detail) or BrokenError(detail)


def means_unknown_task(status: int, code: str) -> bool:
    """Whether a read says that the task is gone, and not that our path or model is wrong."""
    return status == 404 and bool(code) and not code.startswith(_OUR_FAULT)


def _common_error(status: int, code: str, *, retry_after: str | None, detail: str) -> UpstreamError | None:
    if status in {401, 402, 403} or code.startswith(_OUR_FAULT):
        return BrokenError(detail)
    if status != 429:
        return None
    wait = _retry_after_seconds(retry_after)
    if code.startswith("QuotaExceeded"):
        wait = max(wait or 0.0, QUOTA_RETRY_AFTER_SECONDS)
    return BusyError(detail, retry_after_seconds=wait)


def _retry_after_seconds(value: str | None) -> float | None:
    # The date form is not used by ModelArk and would need the wall clock.
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    return float(min(int(value[:9]), RETRY_AFTER_SECONDS_MAX))

"""What ModelArk's HTTP statuses and error codes mean. Codes are matched by prefix.

Messages are parsed only for which file of `content` was unusable and why, because no other field says so.
"""

import re
from dataclasses import dataclass

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
    (("InternalService", "InternalError", "ServerOverloaded"), RefusalKind.UNAVAILABLE),
)
_CANNOT_BE_READ = "InvalidImageURL.InvalidFormat"
# As `param`, or quoted: "The parameter `content[1].image_url` specified in the request is not valid: ...".
_PLACE = r"content\[(\d{1,2})\](?:\.(?:image|video|audio)_url(?:\.url)?)?"
_PARAMETER = re.compile(_PLACE)
_QUOTED = re.compile(rf"`{_PLACE}`")
_CAUSE_BY_PREFIX = (
    (
        ("AccountOverdueError", "OperationDenied.ServiceOverdue", "AccountQuotaExceeded", "SetLimitExceeded"),
        BrokenCause.QUOTA,
    ),
    (
        ("InvalidEndpoint", "ModelNotOpen", "OperationDenied.ServiceNotOpen", "OperationDenied.InvalidState"),
        BrokenCause.MODEL,
    ),
    (
        ("AuthenticationError", "InvalidAccountStatus", "AccessDenied", "OperationDenied"),
        BrokenCause.CREDENTIAL,
    ),
)
_CAUSE_BY_STATUS = {
    401: BrokenCause.CREDENTIAL,
    402: BrokenCause.QUOTA,
    403: BrokenCause.CREDENTIAL,
}


@dataclass(frozen=True, kw_only=True)
class ArkError:
    """An error envelope. Missing fields are empty."""

    code: str = ""
    parameter: str = ""
    message: str = ""


def refusal(error: ArkError, *, otherwise: RefusalKind, detail: str) -> Refused:
    """Returns what an error says about an order, in an answer or in a failed task."""
    kind = next((kind for prefixes, kind in _KIND_BY_PREFIX if error.code.startswith(prefixes)), otherwise)
    reference = _bad_reference(error)
    if kind is RefusalKind.PARAMETERS and reference != BadReference():
        kind = RefusalKind.INPUT_MEDIA
    if kind is not RefusalKind.INPUT_MEDIA:
        return Refused(kind=kind, detail=detail)
    return Refused(kind=kind, detail=detail, reference=reference)


def _bad_reference(error: ArkError) -> BadReference:
    found = _PARAMETER.fullmatch(error.parameter) or _QUOTED.search(error.message)
    # The first item of `content` is the prompt.
    position = int(found[1]) - 1 if found and int(found[1]) else None
    fault = ReferenceFault.UNKNOWN
    if "download" in error.message.lower():
        fault = ReferenceFault.NOT_FETCHED
    elif error.code.startswith(_CANNOT_BE_READ):
        fault = ReferenceFault.NOT_READABLE
    elif position is not None and " must be " in error.message:
        fault = ReferenceFault.OUT_OF_BOUNDS
    return BadReference(position=position, is_image=error.code.startswith("InvalidImageURL"), fault=fault)


def submission_error(answer: Answer, error: ArkError) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means; `error` is empty if the body had no error envelope.

    A gateway can answer 5xx or 408 although the task was stored, so these never mean that nothing was started.
    """
    status, code = answer.status, error.code
    detail = f"submission answered {status} {code}".rstrip()
    if status >= 500 or status == 408:
        return UnknownError(detail)
    if common := _common_error(answer, code, detail=detail):
        return common
    names_our_model = status == 404 and not code.startswith("NotFound.")
    if status < 400 or not code or names_our_model:
        return BrokenError(detail, cause=BrokenCause.MODEL)
    return RefusedError(refusal(error, otherwise=RefusalKind.PARAMETERS, detail=detail))


def reading_error(answer: Answer, code: str) -> UpstreamError:
    """Returns what a non-2xx answer to a read means. A read is never refused, so an unexpected 4xx is our own fault."""
    status = answer.status
    detail = f"read answered {status} {code}".rstrip()
    if status >= 500 or status == 408:
        return UnreachableError(detail)
    common = _common_error(answer, code, detail=detail)
    return common or BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(status: int, code: str) -> bool:
    """Returns whether a read says that the task is gone, and not that our path or model is wrong."""
    return status == 404 and bool(code) and _cause_of(status, code) is None


def _common_error(answer: Answer, code: str, *, detail: str) -> UpstreamError | None:
    if cause := _cause_of(answer.status, code):
        return BrokenError(detail, cause=cause)
    if answer.status != 429:
        return None
    wait = answer.retry_after_seconds
    if code.startswith("QuotaExceeded"):
        wait = max(wait or 0.0, QUOTA_RETRY_AFTER_SECONDS)
    return BusyError(detail, retry_after_seconds=wait)


def _cause_of(status: int, code: str) -> BrokenCause | None:
    named = (cause for prefixes, cause in _CAUSE_BY_PREFIX if code.startswith(prefixes))
    return next(named, None) or _CAUSE_BY_STATUS.get(status)

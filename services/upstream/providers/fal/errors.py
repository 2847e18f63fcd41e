"""What fal's HTTP statuses and error types mean, in its answers to us and in the answers of its models."""

from dataclasses import dataclass

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

CANCELLED = frozenset({"client_cancelled", "client_disconnected"})
STILL_IN_PROGRESS = "still in progress"
"""In the detail of a result that is asked for too early, whatever its status."""

_MEDIA_FAULTS = {
    "file_download_error": ReferenceFault.NOT_FETCHED,
    "image_load_error": ReferenceFault.NOT_READABLE,
    "unsupported_image_format": ReferenceFault.NOT_READABLE,
    "unsupported_audio_format": ReferenceFault.NOT_READABLE,
    "unsupported_video_format": ReferenceFault.NOT_READABLE,
    "face_detection_error": ReferenceFault.UNKNOWN,
    **dict.fromkeys(
        (
            "image_too_small",
            "image_too_large",
            "file_too_large",
            "video_duration_too_long",
            "video_duration_too_short",
            "audio_duration_too_long",
            "audio_duration_too_short",
        ),
        ReferenceFault.OUT_OF_BOUNDS,
    ),
}
_PARAMETERS = frozenset(
    {
        "bad_request",
        "feature_not_supported",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "missing",
        "multiple_of",
        "one_of",
        "sequence_too_long",
        "sequence_too_short",
        "value_error",
    }
)
_THEIR_FAULT = frozenset(
    {
        "downstream_service_error",
        "downstream_service_unavailable",
        "generation_timeout",
        "internal_error",
        "internal_server_error",
        "request_timeout",
        "runner_connection_error",
        "runner_connection_refused",
        "runner_connection_timeout",
        "runner_disconnected",
        "runner_incomplete_response",
        "runner_scheduling_failure",
        "runner_server_error",
        "startup_timeout",
    }
)


@dataclass(frozen=True, kw_only=True)
class FalError:
    """An error of fal or of a model of fal. What is missing is empty."""

    type: str = ""
    detail: str = ""
    location: tuple[str | int, ...] = ()
    """Where in the order the fault is, such as `body`, `image_urls`, 0."""
    is_retryable: bool | None = None
    """What `X-Fal-Retryable` says."""
    is_about_request: bool = False
    """Whether the answer names a request that fal has taken."""
    is_our_timeout: bool = False
    """Whether the time ran out that we asked for."""


def submission_error(status: int, error: FalError, *, retry_after_seconds: float | None) -> UpstreamError:
    """Returns what a non-2xx answer to a submission means.

    A failure that fal documents and that names no request is its queue's own: nothing was stored. Any other 5xx may come
    from a gateway behind which it was.
    """
    detail = f"submission answered {status} {error.type}".rstrip()
    if common := _common_error(status, error, retry_after_seconds=retry_after_seconds, detail=detail):
        return common
    if error.type in _THEIR_FAULT and not error.is_about_request:
        return UnreachableError(detail)
    if status >= 500 or status in {408, 409} or error.type in CANCELLED:
        return UnknownError(detail)
    if status == 404 or status < 400 or not (error.type or error.detail):
        return BrokenError(detail, cause=BrokenCause.MODEL)
    return RefusedError(_refusal(error, otherwise=RefusalKind.PARAMETERS, detail=detail))


def reading_error(status: int, error: FalError, *, retry_after_seconds: float | None) -> UpstreamError:
    """Returns what a non-2xx answer about a task means that does not come from its model."""
    detail = f"read answered {status} {error.type}".rstrip()
    if common := _common_error(status, error, retry_after_seconds=retry_after_seconds, detail=detail):
        return common
    if status >= 500 or status == 408:
        return UnreachableError(detail)
    return BrokenError(detail, cause=BrokenCause.MODEL)


def means_unknown_task(status: int, *, is_of_fal: bool) -> bool:
    """Returns whether a read says that the task is gone, and not that our path is wrong."""
    return status == 404 and is_of_fal


def failure(status: int, error: FalError) -> Refused | None:
    """Returns how a completed task failed, by the answer that stands for its result.

    None: the answer is not its model's, so it says nothing about the task.
    """
    if status in {401, 402, 403, 429}:
        return None
    detail = f"task failed {status} {error.type}".rstrip()
    if error.type in CANCELLED or status == 499:
        return Refused(kind=RefusalKind.FAILED, detail="task cancelled")
    if status >= 500 and not error.type:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail=detail) if error.is_about_request else None
    if not error.type and not error.detail:
        return None
    return _refusal(error, otherwise=RefusalKind.FAILED, detail=detail)


def _refusal(error: FalError, *, otherwise: RefusalKind, detail: str) -> Refused:
    if error.type == "content_policy_violation":
        return Refused(kind=RefusalKind.CONTENT, detail=detail)
    if error.type in _MEDIA_FAULTS:
        return Refused(kind=RefusalKind.INPUT_MEDIA, detail=detail, reference=_bad_reference(error))
    if error.type in _PARAMETERS:
        return Refused(kind=RefusalKind.PARAMETERS, detail=detail)
    if error.is_our_timeout:
        return Refused(kind=RefusalKind.EXPIRED, detail=detail)
    is_theirs = error.type in _THEIR_FAULT if error.is_retryable is None else error.is_retryable
    kind = RefusalKind.UNAVAILABLE if is_theirs else otherwise
    if error.is_retryable is False:
        kind = RefusalKind.FAILED
    return Refused(kind=kind, detail=detail)


def _bad_reference(error: FalError) -> BadReference:
    field = next(
        (part for part in error.location if isinstance(part, str) and part.endswith(("_url", "_urls"))), ""
    )
    number = error.location[-1] if error.location and isinstance(error.location[-1], int) else None
    # An order with frames has nothing else; of one with references the images come first.
    positions = {"image_url": 0, "end_image_url": 1, "image_urls": number}
    return BadReference(
        position=positions.get(field), is_image="image" in field, fault=_MEDIA_FAULTS[error.type]
    )


def _common_error(
    status: int, error: FalError, *, retry_after_seconds: float | None, detail: str
) -> UpstreamError | None:
    if status == 402 or (status == 403 and "balance" in error.detail.lower()):
        return BrokenError(detail, cause=BrokenCause.QUOTA)
    if status in {401, 403}:
        return BrokenError(detail, cause=BrokenCause.CREDENTIAL)
    if status == 429:
        return BusyError(detail, retry_after_seconds=retry_after_seconds)
    return None

"""Everything that can go wrong, by class. Codes that are not known yet stay readable in `code` and `message`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelgate_client.drivers import Answer
    from reelgate_client.videos import Video


class ReelgateError(Exception):
    """Base of all errors of this package."""

    status: int | None = None
    code: str | None = None
    type: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    body: Any = None
    idempotency_key: str | None = None
    """Of the request that failed: send it with the same request to repeat it."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.__dict__.update(details)

    @property
    def retryable(self) -> bool:
        """Returns whether the same request may succeed later."""
        return False

    def __str__(self) -> str:
        details = [str(part) for part in (self.status, self.code, self.request_id) if part is not None]
        return f"{self.message} ({', '.join(details)})" if details else self.message


class AuthenticationError(ReelgateError):
    """The API key is missing, mistyped, of the other contract or environment, or disabled."""


class PermissionDeniedError(ReelgateError):
    """The key may not do this."""


class InvalidRequestError(ReelgateError):
    """The request is wrong; the message names the field and what is allowed."""


class InsufficientCreditsError(ReelgateError):
    """The balance or a spend limit does not cover the request."""


class NotFoundError(ReelgateError):
    """There is no such video, model, endpoint, delivery or upload."""


class ConflictError(ReelgateError):
    """The state of things does not allow it, or an idempotency key was used for another request."""

    @property
    def retryable(self) -> bool:
        """Returns whether the conflict passes: the first request with this key still runs, or the answer says when to repeat."""
        return self.status == 409 and (self.retry_after is not None or self.code == "idempotency_conflict")


class RateLimitError(ReelgateError):
    """Too many calls, or too many unfinished videos."""

    retryable = True


class ServerError(ReelgateError):
    """The service failed, or what answered is not the service."""

    @property
    def retryable(self) -> bool:
        """Returns whether the status says that the service failed."""
        return self.status is None or self.status >= 500


class ConnectionFailedError(ReelgateError):
    """No answer came. The request may have been carried out."""

    retryable = True


class SignatureError(ReelgateError):
    """A webhook that nobody must trust. `code` is `no_signature`, `no_match`, `too_old` or `too_new`."""


class WaitTimeoutError(ReelgateError):
    """A video has not ended in time. It goes on, and `video` can be waited for again."""

    def __init__(self, video: Video[Any, Any]) -> None:
        super().__init__(f"{video.id} is still {video.status}, and goes on without being waited for")
        self.video = video


class WaitInterrupted(KeyboardInterrupt):
    """Ctrl-C during a wait. The video goes on."""

    def __init__(self, video: Video[Any, Any]) -> None:
        super().__init__(f"{video.id} goes on")
        self.video = video


class VideoFailedError(ReelgateError):
    """A video ended without a result, or in a status that this version of the client does not know."""

    def __init__(self, video: Video[Any, Any]) -> None:
        reason = video.data.get("error") or {}
        code = reason.get("code", "unknown_status")
        message = reason.get("message", f"{video.id} is {video.status!r}, which this client does not know")
        super().__init__(message, code=code, type=reason.get("type"), body=video.data)
        self.video = video


BY_STATUS: dict[int, type[ReelgateError]] = {
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: ConflictError,
    429: RateLimitError,
}


def error_of(answer: Answer) -> ReelgateError | None:
    """Returns what an answer reports. None: it is a success."""
    if answer.status < 300:
        return None
    error = error_in(answer.json, status=answer.status)
    error.request_id = answer.headers.get("x-request-id")
    retry_after = answer.headers.get("retry-after", "")
    error.retry_after = float(retry_after) if retry_after.isdecimal() else None
    if answer.status < 400:
        error.message = f"The answer is a redirect to {answer.headers.get('location')}; give that as base_url"
    return error


def error_in(envelope: Any, *, status: int) -> ReelgateError:
    """Returns the error of an envelope, whichever contract it is of."""
    found = envelope.get("error") if isinstance(envelope, dict) else None
    found = found if isinstance(found, dict) else {}
    kind = BY_STATUS.get(status) or (InvalidRequestError if 400 <= status < 500 else ServerError)
    message = str(found.get("message") or f"The answer was {status}")
    return kind(message, status=status, code=found.get("code"), type=found.get("type"), body=envelope)

"""How commands end: an exit code for each kind of failure, and two lines that say what to quote and what to do next."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import typer

from reelgate_client.cli.output import program, say

P = ParamSpec("P")
T = TypeVar("T")

FAILED = 1
"""A video failed, or the request did."""
USAGE = 2
AUTHENTICATION = 3
CREDITS = 4
TIMED_OUT = 5
INTERRUPTED = 130


MEANINGS = {
    "WaitTimeoutError": (TIMED_OUT, "{program} jobs wait {id}"),
    "VideoFailedError": (FAILED, "{program} jobs show {id}"),
    "AuthenticationError": (AUTHENTICATION, "{program} login, or set REELGATE_API_KEY"),
    "PermissionDeniedError": (AUTHENTICATION, "use a key that may do this"),
    "InsufficientCreditsError": (
        CREDITS,
        "{program} balance; then add credits, raise the limit or ask for less",
    ),
    "InvalidRequestError": (USAGE, "change what the message names"),
    "NotFoundError": (FAILED, "{program} jobs list; a key sees only what was made in its own environment"),
    "ConflictError": (FAILED, "{program} jobs show; its state may have changed"),
    "RateLimitError": (FAILED, "wait {seconds} seconds, and run the command again"),
    "ConnectionFailedError": (FAILED, "{program} doctor"),
    "ServerError": (FAILED, "run the command again in a moment; if it goes on, report the request id"),
}
"""Exit code and next step, by the class of the client's error."""


class CommandError(Exception):
    """What a command refuses by itself."""

    def __init__(self, message: str, *, advice: str = "", code: int = USAGE) -> None:
        super().__init__(message)
        self.advice = advice
        self.code = code


class CommandInterrupted(KeyboardInterrupt):
    """Ctrl-C, where more can be said than that."""

    def __init__(self, advice: str) -> None:
        super().__init__(advice)
        self.advice = advice


def guarded(command: Callable[P, T]) -> Callable[P, T]:
    """Returns a command that ends as this module says."""

    @wraps(command)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt as interrupt:
            _tell_interrupt(interrupt)
            raise typer.Exit(INTERRUPTED) from None
        except CommandError as error:
            code = error.code
            _tell(str(error), advice=error.advice)
        except Exception as error:
            found = _judged(error)
            if found is None:
                raise
            code = found
        raise typer.Exit(code)

    return call


def _judged(error: Exception) -> int | None:
    """Tells what went wrong. Returns the exit code; None for what is a fault of this program."""
    from reelgate_client import errors

    if isinstance(error, OSError):
        _tell(str(error))
        return FAILED
    if not isinstance(error, errors.ReelgateError):
        return None
    code, advice = _meaning(error)
    message = error.message if error.code is None else f"{error.message} ({error.code})"
    _tell(message, advice=advice, request_id=error.request_id)
    return code


def _meaning(error: Any) -> tuple[int, str]:
    """Returns the exit code of an error of the client, and what to do next."""
    video = getattr(error, "video", None)
    known = {"program": program(), "id": video and video.id, "seconds": f"{error.retry_after or 1:g}"}
    if error.code == "model_not_found":
        return FAILED, f"{program()} models"
    for kind in type(error).__mro__:
        if kind.__name__ in MEANINGS:
            code, advice = MEANINGS[kind.__name__]
            return code, advice.format(**known)
    return FAILED, ""


def _tell_interrupt(interrupt: KeyboardInterrupt) -> None:
    advice = getattr(interrupt, "advice", "")
    video = getattr(interrupt, "video", None)
    if video is not None:
        advice = f"{video.id} goes on. Wait for it: {program()} jobs wait {video.id}"
    say(f"\nInterrupted. {advice}".rstrip())


def _tell(message: str, *, advice: str = "", request_id: str | None = None) -> None:
    say(f"Error: {message}", "red")
    if request_id:
        say(f"  request id: {request_id}")
    if advice:
        say(f"  next: {advice}")

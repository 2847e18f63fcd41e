"""fal's bodies and addresses: written from an order, parsed into the answers of `provider.py`. No I/O here."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.upstream.bodies import UnusableBodyError, member, parse_object, parse_task_id, text
from services.upstream.callback_keys import is_recent
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.fal.errors import STILL_IN_PROGRESS, FalError
from services.upstream.reference_tokens import with_tokens

SIGNATURE_HEADERS = frozenset(
    {
        "x-fal-webhook-request-id",
        "x-fal-webhook-user-id",
        "x-fal-webhook-timestamp",
        "x-fal-webhook-signature",
    }
)
KEYS_MAX = 32
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HANDLE = re.compile(rf"({_APP.pattern})/requests/([A-Za-z0-9][A-Za-z0-9._-]{{0,127}})")
_SIGNATURE = re.compile(r"[0-9a-f]{128}", re.IGNORECASE)
_ERROR_TYPE_LENGTH_MAX = 128


def endpoint_of(order: Order) -> str:
    """Returns the endpoint for an order: a model has one for each of three forms of input."""
    if order.start_image_url or order.end_image_url:
        return f"{order.model}/image-to-video"
    return f"{order.model}/{'reference' if order.references else 'text'}-to-video"


def render_order(order: Order) -> dict[str, Any]:
    """Returns the input of a model. References keep their order: it numbers them in the prompt."""
    media: dict[str, object] = {
        "image_url": order.start_image_url,
        "end_image_url": order.end_image_url,
        "image_urls": list(order.image_urls),
        "video_urls": list(order.video_urls),
        "audio_urls": list(order.audio_urls),
    }
    return {
        "prompt": with_tokens(order, "@{}".format),
        "resolution": order.resolution,
        "duration": str(order.duration_seconds),
        "aspect_ratio": "auto" if order.aspect_ratio == "adaptive" else order.aspect_ratio,
        "generate_audio": order.generate_audio,
        **{name: value for name, value in media.items() if value},
    }


def handle_of(model: str, request_id: object) -> str:
    """Returns what a task is called: its path, of which fal uses the first two parts of the endpoint only.

    Raises UnusableBodyError.
    """
    app = "/".join(model.split("/")[:2])
    if not _APP.fullmatch(app):
        raise UnusableBodyError("the model is no endpoint such as bytedance/seedance-2.0")
    return f"{app}/requests/{parse_task_id(request_id)}"


def is_handle(task_id: str) -> bool:
    """Returns whether a text is what `handle_of` returns."""
    return _HANDLE.fullmatch(task_id) is not None


def parse_created(body: bytes, *, model: str, named: str) -> str:
    """Returns the new task's handle: the path `named`, if it is one of this task, or else what follows from the model.

    Raises UnusableBodyError if the body holds no id.
    """
    request_id = parse_task_id(parse_object(body).get("request_id"))
    found = _HANDLE.fullmatch(named)
    return named if found and found[2] == request_id else handle_of(model, request_id)


def response_url_of(body: bytes) -> str:
    """Returns the address of the result that an answer to a submission names, or nothing."""
    return text(parse_object(body).get("response_url"), length_max=2_048)


def parse_status(body: bytes) -> Pending | None:
    """Returns how far a task is. None: it has ended, and only its result tells how.

    An unknown status counts as running; our own deadline ends it. Raises UnusableBodyError if the body is no status.
    """
    match parse_object(body).get("status"):
        case "IN_QUEUE":
            return Pending(running=False)
        case "COMPLETED":
            return None
        case str():
            return Pending(running=True)
        case _:
            raise UnusableBodyError("task without a status")


def parse_result(body: bytes) -> Done | Refused:
    """Returns the result of a task. Raises UnusableBodyError if the body is no object."""
    video_url = text(member(parse_object(body), "video").get("url"), length_max=8_192)
    if not video_url:
        return Refused(kind=RefusalKind.UNAVAILABLE, detail="task completed without a video")
    return Done(video_url=video_url)


def parse_error(body: bytes, headers: Mapping[str, str]) -> FalError:
    """Returns what an answer says about an error; what it does not say is empty."""
    try:
        envelope = parse_object(body)
    except UnusableBodyError:
        envelope = {}
    said = envelope.get("detail")
    listed = said[0] if isinstance(said, list) and said and isinstance(said[0], dict) else {}
    kind = listed.get("type") or envelope.get("error_type") or headers.get("x-fal-error-type")
    location = listed.get("loc")
    return FalError(
        type=text(kind, length_max=_ERROR_TYPE_LENGTH_MAX),
        detail=text(listed.get("msg") or said),
        location=tuple(part for part in location if isinstance(part, str | int))
        if isinstance(location, list)
        else (),
        is_retryable=_retryable(headers),
        is_about_request="x-fal-request-id" in headers or bool(text(envelope.get("request_id"))),
        is_our_timeout=headers.get("x-fal-request-timeout-type") == "user",
    )


def is_of_fal(body: bytes) -> bool:
    """Returns whether an error was written by fal, and not by something on the way to it."""
    try:
        return bool({"detail", "status"} & parse_object(body).keys())
    except UnusableBodyError:
        return False


def is_early(error: FalError) -> bool:
    """Returns whether a result was asked for before there was one."""
    return STILL_IN_PROGRESS in error.detail.lower()


def claimed_request_id(body: bytes) -> object:
    """Returns what a callback says the request is called. Raises UnusableBodyError."""
    return parse_object(body).get("request_id")


def parse_keys(body: bytes) -> list[Ed25519PublicKey]:
    """Returns the keys of a JWKS that callbacks are signed with. Raises UnusableBodyError if there is none."""
    listed = parse_object(body).get("keys")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    keys = [_key(text(row.get("x"))) for row in rows[:KEYS_MAX] if row.get("crv") == "Ed25519"]
    found = [key for key in keys if key is not None]
    if not found:
        raise UnusableBodyError("no key for callbacks")
    return found


def is_well_formed(headers: Mapping[str, str], *, now: float) -> bool:
    """Returns whether a callback has the headers of a signature that was made just now; whose it is, `is_signed` says."""
    return (
        headers.keys() >= SIGNATURE_HEADERS
        and is_recent(headers["x-fal-webhook-timestamp"], now=now)
        and _SIGNATURE.fullmatch(headers["x-fal-webhook-signature"]) is not None
    )


def is_signed(headers: Mapping[str, str], body: bytes, *, key: Ed25519PublicKey) -> bool:
    """Returns whether the signature of a well-formed callback was made with a key."""
    names = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp")
    signed = "\n".join((*(headers[name] for name in names), hashlib.sha256(body).hexdigest()))
    try:
        key.verify(bytes.fromhex(headers["x-fal-webhook-signature"]), signed.encode())
    except InvalidSignature:
        return False
    return True


def _key(encoded: str) -> Ed25519PublicKey | None:
    try:
        return Ed25519PublicKey.from_public_bytes(
            base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        )
    except (ValueError, binascii.Error):
        return None


def _retryable(headers: Mapping[str, str]) -> bool | None:
    said = headers.get("x-fal-retryable", headers.get("x-fal-needs-retry", "")).strip().lower()
    return {"true": True, "1": True, "false": False, "0": False}.get(said)

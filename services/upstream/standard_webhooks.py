"""Signatures of Standard Webhooks, as their receiver checks them."""

import base64
import binascii
import hmac
from collections.abc import Mapping

from services.upstream.bodies import UnusableBodyError
from services.upstream.callback_keys import is_recent

HEADERS = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature"})
_PREFIX = "whsec_"
_SIGNATURES_MAX = 10


def parse_secret(text: str) -> bytes:
    """Returns the key that a secret such as `whsec_…` stands for. Raises UnusableBodyError."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error) as error:
        raise UnusableBodyError("no usable secret") from error
    if not key:
        raise UnusableBodyError("no usable secret")
    return key


def is_well_formed(headers: Mapping[str, str], *, now: float) -> bool:
    """Returns whether a request has the headers of a signature that was made just now; whose it is, `is_signed` says."""
    return headers.keys() >= HEADERS and is_recent(headers["webhook-timestamp"], now=now)


def is_signed(headers: Mapping[str, str], body: bytes, *, key: bytes) -> bool:
    """Returns whether one of the signatures of a well-formed request was made with a key."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return any(
        hmac.compare_digest(each.encode(), f"v1,{expected}".encode())
        for each in headers["webhook-signature"].split(" ", _SIGNATURES_MAX)
    )

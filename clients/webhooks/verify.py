"""Tells whether a webhook comes from Reelgate. Needs nothing but Python 3.10: copy it into your program."""

import base64
import binascii
import hmac
import re
import time
from collections.abc import Iterator, Mapping, Sequence

TIMED_HEADERS = ("x-seedancee2-signature", "x-nextapi-signature", "x-webhook-signature")


class SignatureError(Exception):
    """Says `no_signature`, `no_match`, `too_old` or `too_new`."""


def verify(
    raw_body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    tolerance: float = 300,
    now: float | None = None,
) -> None:
    """Returns if one of the secrets signed the body within `tolerance` seconds of `now`. Raises SignatureError if not.

    Give the body as it came, before anything parsed it, and two secrets while you rotate.
    """
    now = time.time() if now is None else now
    signatures = list(_signatures({name.lower(): value for name, value in headers.items()}))
    if not signatures:
        raise SignatureError("no_signature")
    for scheme, timestamp, prefix, presented in signatures:
        for secret in secrets:
            expected = _sign(scheme, secret, prefix.encode() + raw_body)
            if hmac.compare_digest(expected.encode(), presented.encode()):
                age = now - int(timestamp)
                if abs(age) > tolerance:
                    raise SignatureError("too_old" if age > 0 else "too_new")
                return
    raise SignatureError("no_match")


def _signatures(headers: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    # Those of the contracts: t=…,v1=…,v1=…
    for name in TIMED_HEADERS:
        parts = [part.strip() for part in headers.get(name, "").split(",")]
        timestamp = next((part[2:] for part in parts if part.startswith("t=")), "")
        for part in parts:
            if part.startswith("v1=") and re.fullmatch("[0-9]+", timestamp):
                yield "v1=", timestamp, f"{timestamp}.", part
    # That of Standard Webhooks: v1,… v1,…
    event_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    for part in headers.get("webhook-signature", "").split(" "):
        if part.startswith("v1,") and event_id and re.fullmatch("[0-9]+", timestamp):
            yield "v1,", timestamp, f"{event_id}.{timestamp}.", part


def _sign(scheme: str, secret: str, content: bytes) -> str:
    # The contracts' key is the whole secret, that of Standard Webhooks what follows whsec_, decoded.
    if scheme == "v1=":
        return scheme + hmac.new(secret.encode(), content, "sha256").hexdigest()
    try:
        key = base64.b64decode(secret[len("whsec_") :])
    except binascii.Error:
        return ""
    return scheme + base64.b64encode(hmac.new(key, content, "sha256").digest()).decode()

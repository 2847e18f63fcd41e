"""Whether a webhook comes from Reelgate: the signatures of both contracts, and of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from reelgate_client.errors import SignatureError
from reelgate_client.types import nextapi, seedancee2

CONTRACT_HEADERS = ("x-seedancee2-signature", "x-nextapi-signature", "x-webhook-signature")
Headers: TypeAlias = Mapping[str, str]
PREFIX = "whsec_"
MESSAGES = {
    "no_signature": "The request has no signature of ours",
    "no_match": "No signature fits: the body was changed on its way, or the secret is another",
    "too_old": "The signature is too old: this may be a recording",
    "too_new": "The signature is from the future: is your clock right?",
}


def verify(
    raw_body: bytes,
    headers: Headers,
    secrets: str | Sequence[str],
    tolerance: float = 300,
    *,
    now: float | None = None,
) -> seedancee2.WebhookEvent | nextapi.WebhookEvent:
    """Returns the event, if one of the signatures is by one of the secrets and at most `tolerance` seconds old.

    `raw_body` is what came, byte for byte, before anything parsed it. During a rotation give both secrets.
    Raises SignatureError, and ValueError if a body that is signed is not JSON.
    """
    if not isinstance(raw_body, bytes | bytearray | memoryview):
        raise TypeError("raw_body is the bytes of the request as they came, not what a parser made of them")
    keys = [secrets] if isinstance(secrets, str) else list(secrets)
    if not keys or not all(keys):
        raise ValueError("secrets is the whsec_… text of your endpoint or account, or several of them")
    now = time.time() if now is None else now
    found = {name.lower(): value for name, value in headers.items()}
    signatures = [*_of_contract(bytes(raw_body), found, keys), *_of_standard(bytes(raw_body), found, keys)]
    ages = [now - signed_at for signed_at, good in signatures if good]
    if not any(-tolerance <= age <= tolerance for age in ages):
        code = "no_match" if signatures else "no_signature"
        if ages:
            code = "too_old" if ages[0] > 0 else "too_new"
        raise SignatureError(MESSAGES[code], code=code)
    event: seedancee2.WebhookEvent | nextapi.WebhookEvent = json.loads(raw_body)
    return event


def _of_contract(body: bytes, headers: Headers, secrets: Sequence[str]) -> Iterator[tuple[int, bool]]:
    """Yields when each header was signed, and whether by one of the secrets. The key is the secret's whole text."""
    for name in CONTRACT_HEADERS:
        parts = [part.strip().partition("=") for part in headers.get(name, "").split(",")]
        times = [value for key, _, value in parts if key == "t"]
        given = [value for key, _, value in parts if key == "v1"]
        if times and _is_time(times[0]) and given:
            signed = f"{times[0]}.".encode() + body
            wanted = [hmac.digest(secret.encode(), signed, "sha256").hex() for secret in secrets]
            yield int(times[0]), _any_equal(wanted, given)


def _of_standard(body: bytes, headers: Headers, secrets: Sequence[str]) -> Iterator[tuple[int, bool]]:
    """Does the same with the header of Standard Webhooks. The key is what follows whsec_, decoded."""
    event_id, signed_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    parts = [part.partition(",") for part in headers.get("webhook-signature", "").split()]
    given = [value for version, _, value in parts if version == "v1"]
    if event_id and _is_time(signed_at) and given:
        signed = f"{event_id}.{signed_at}.".encode() + body
        digests = [hmac.digest(key, signed, "sha256") for key in map(_decoded, secrets) if key is not None]
        yield int(signed_at), _any_equal([base64.b64encode(digest).decode() for digest in digests], given)


def _decoded(secret: str) -> bytes | None:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None


def _any_equal(wanted: Sequence[str], given: Sequence[str]) -> bool:
    # Every pair is compared, each in constant time.
    return any([hmac.compare_digest(a.encode(), b.encode()) for a in wanted for b in given])  # noqa: C419


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16

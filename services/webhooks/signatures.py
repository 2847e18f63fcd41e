"""How what is sent to a customer is signed."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Protocol

from services.webhooks.domain import SECRET_PREFIX, TEST_EVENT, TEST_HEADER, USER_AGENT


class Sent(Protocol):
    """What the headers tell of an event."""

    @property
    def event_id(self) -> str:
        """Its identifier."""

    @property
    def environment(self) -> str:
        """Where it happened."""

    @property
    def contract(self) -> str:
        """Whose headers stand beside those of Standard Webhooks."""

    @property
    def type(self) -> str:
        """What happened."""

    @property
    def body(self) -> bytes:
        """What is signed."""


def render_headers(sent: Sent, *, secrets: Sequence[str], sent_at: int) -> dict[str, str]:
    """Returns the headers of one attempt, signed with each secret in turn for the moment `sent_at`, in Unix seconds.

    Those of the event's contract stand beside those of Standard Webhooks (standardwebhooks.com, version 1).
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": sent.event_id,
        "webhook-timestamp": str(sent_at),
    }
    if sent.contract == "seedancee2":
        headers["X-Seedancee2-Event"] = sent.type
    if sent.environment == "test" or sent.type == TEST_EVENT:
        headers[TEST_HEADER] = "true"
    if secrets:
        headers["webhook-signature"] = " ".join(
            _standard_signature(sent, secret=secret, sent_at=sent_at) for secret in secrets
        )
        timed = _timed_signatures(sent, secrets=secrets, sent_at=sent_at)
        headers |= dict.fromkeys(_SIGNATURE_HEADERS.get(sent.contract, ()), timed)
    return headers


def _standard_signature(sent: Sent, *, secret: str, sent_at: int) -> str:
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = b"%s.%d.%s" % (sent.event_id.encode(), sent_at, sent.body)
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()


def _timed_signatures(sent: Sent, *, secrets: Sequence[str], sent_at: int) -> str:
    # Both contracts key their signature with the bytes of the whole string, prefix included.
    signed = b"%d.%s" % (sent_at, sent.body)
    digests = (hmac.digest(secret.encode(), signed, "sha256").hex() for secret in secrets)
    return ",".join((f"t={sent_at}", *(f"v1={digest}" for digest in digests)))


_SIGNATURE_HEADERS = {
    "seedancee2": ("X-Seedancee2-Signature",),
    "nextapi": ("X-NextAPI-Signature", "X-Webhook-Signature"),
}

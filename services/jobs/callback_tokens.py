"""The tokens in callback addresses. Anybody can call these addresses, so a signature proves that we made the token."""

import hmac
import re
import time
from collections.abc import Callable, Sequence

from services.common.rate_limit.allowance import Allowance

SIGNATURE_LENGTH = 32
"""In hexadecimal digits."""
UNSIGNED_AT_ONCE_MAX = 100
UNSIGNED_PER_SECOND_MAX = 20
"""For tokens without a signature, which anybody can make up."""

_PURPOSE = b"callback\0"
"""Keeps signatures of API keys, which are made with the same secret, from being valid for tokens."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SIGNED = re.compile(rf"([A-Za-z0-9_-]{{1,128}})\.([0-9a-f]{{{SIGNATURE_LENGTH}}})")


class CallbackTokens:
    """Signs tokens of attempts and checks those of callbacks. The first secret signs; all of them are accepted."""

    def __init__(self, secrets: Sequence[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._unsigned = Allowance(
            most=UNSIGNED_AT_ONCE_MAX, per_second=UNSIGNED_PER_SECOND_MAX, monotonic=monotonic
        )

    def sign(self, token: str) -> str:
        """Returns the signed token, as it is written into the address."""
        return f"{token}.{_signature(self._secrets[0], token)}"

    def open(self, text: str) -> str | None:
        """Returns the token of an attempt, or None if we did not make it. Costs at most one hash for each secret.

        Attempts opened before tokens were signed may live for days, so a limited number of unsigned tokens is accepted.
        """
        if _TOKEN.fullmatch(text):
            return text if self._unsigned.take() else None
        signed = _SIGNED.fullmatch(text)
        if signed is None:
            return None
        token, signature = signed.groups()
        is_ours = any(hmac.compare_digest(_signature(secret, token), signature) for secret in self._secrets)
        return token if is_ours else None


def _signature(secret: bytes, token: str) -> str:
    return hmac.digest(secret, _PURPOSE + token.encode(), "sha256").hex()[:SIGNATURE_LENGTH]

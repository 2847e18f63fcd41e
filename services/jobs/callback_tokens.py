"""The tokens in the addresses that providers call back at: anybody may call there, so a token proves that it is ours."""

import hmac
import re
import time
from collections.abc import Callable, Sequence

from services.common.rate_limit.allowance import Allowance

SIGNATURE_LENGTH = 32
"""In hexadecimal digits."""
UNSIGNED_AT_ONCE_MAX = 100
UNSIGNED_PER_SECOND_MAX = 20
"""Tokens without a signature, which anybody can make up."""

_PURPOSE = b"callback\0"
"""So that no signature of an API key, made with the same secret, is one of a token."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SIGNED = re.compile(rf"([A-Za-z0-9_-]{{1,128}})\.([0-9a-f]{{{SIGNATURE_LENGTH}}})")


class CallbackTokens:
    """Signs tokens of attempts, and opens what is called back with. The first of the secrets signs, any of them opens."""

    def __init__(self, secrets: Sequence[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._unsigned = Allowance(
            most=UNSIGNED_AT_ONCE_MAX, per_second=UNSIGNED_PER_SECOND_MAX, monotonic=monotonic
        )

    def sign(self, token: str) -> str:
        """Returns what stands in the address for the token of an attempt."""
        return f"{token}.{_signature(self._secrets[0], token)}"

    def open(self, text: str) -> str | None:
        """Returns the token in an address, or None if it is not worth a look. Costs a hash for each secret at most.

        Attempts of releases before tokens were signed go on for days; of their tokens only so many are looked up.
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

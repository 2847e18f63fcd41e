"""The forms of API keys: what a key says about itself, without a look-up."""

import hmac
import zlib
from collections.abc import Sequence
from enum import Enum

KEY_LENGTH_MAX = 128
KEY_PREFIXES = {
    ("seedancee2", "live"): "sk_seedancee2_live_",
    ("seedancee2", "test"): "sk_seedancee2_test_",
    ("nextapi", "live"): "nxa_live_sk_",
    ("nextapi", "test"): "nxa_test_sk_",
}
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 16
"""Of the signed form, in hexadecimal digits."""
OLDER_CHECKSUM_LENGTH = 8


def contract_of(key: str) -> str | None:
    """Returns the contract that a key names by its prefix, whether it works or not. None: it is not one of our keys."""
    return next(
        (contract for (contract, _), prefix in KEY_PREFIXES.items() if key.startswith(prefix)),
        None,
    )


class KeyForm(Enum):
    """What stands behind the random part of a key."""

    SIGNED = "signed"
    """A truncated HMAC with our secret: only we can make such a key."""
    OLDER = "older"
    """A CRC-32, used before keys were signed: it catches typing errors, but anyone can compute it."""


class KeyForms:
    """Tells the forms apart, and completes new keys.

    The first secret signs, and any of them is accepted. Without secrets only the older form is accepted.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def complete(self, body: str) -> str:
        """Returns a whole key of the signed form: prefix and random part, then their checksum."""
        return body + _signature(self._secrets[0], body)

    def form_of(self, key: str) -> KeyForm | None:
        """Returns the form a key has, or None if it is mistyped or made up. Costs a hash for each secret at most."""
        if len(key) > KEY_LENGTH_MAX or not key.isascii():
            return None
        prefix = next((prefix for prefix in KEY_PREFIXES.values() if key.startswith(prefix)), None)
        if prefix is None:
            return None
        body, checksum = key[: len(prefix) + RANDOM_LENGTH], key[len(prefix) + RANDOM_LENGTH :]
        if len(checksum) == OLDER_CHECKSUM_LENGTH:
            return KeyForm.OLDER if checksum == older_checksum(body) else None
        is_ours = any(hmac.compare_digest(_signature(secret, body), checksum) for secret in self._secrets)
        return KeyForm.SIGNED if is_ours else None


def older_checksum(body: str) -> str:
    """Returns what a key of the older form ends with: the CRC-32 of everything before it, in 8 hexadecimal digits."""
    return f"{zlib.crc32(body.encode()):08x}"


def _signature(secret: bytes, body: str) -> str:
    return hmac.digest(secret, body.encode(), "sha256").hex()[:CHECKSUM_LENGTH]

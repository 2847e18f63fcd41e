"""Signs addresses of files that the edge of a stack without a bucket takes or serves, as clouds sign those of buckets."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

EXPIRES, SIGNATURE, SIZE_MAX = "expires", "signature", "size_max"
"""Parameters of the query: until when, in Unix seconds, by whom, and for a file to come how many bytes at the most."""
_PURPOSE = "media address"
_NUMBER_LENGTH_MAX = 15


class BadAddress(StrEnum):
    """Why an address is not accepted."""

    NOT_OURS = "not_ours"
    EXPIRED = "expired"


class BadAddressError(Exception):
    """An address whose signature is not ours, or no longer valid."""

    def __init__(self, why: BadAddress) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, kw_only=True)
class AddressSigner:
    """Signs names below the media address, for one method each, until a moment."""

    secret: str

    def sign(self, method: str, name: str, *, expires_at: int, size_max: int | None = None) -> str:
        """Returns the name with a query that proves that we made it. `expires_at` is in Unix seconds."""
        facts = {EXPIRES: str(expires_at)} | ({} if size_max is None else {SIZE_MAX: str(size_max)})
        return f"{name}?{urlencode({**facts, SIGNATURE: self._signature(method, name, facts)})}"

    def check(self, method: str, name: str, query: Mapping[str, str], *, now: float) -> int | None:
        """Returns how many bytes a signed address allows, or None if it does not say. Raises BadAddressError."""
        facts = {field: query[field] for field in (EXPIRES, SIZE_MAX) if field in query}
        signature = self._signature(method, name, facts)
        is_ours = hmac.compare_digest(signature.encode(), query.get(SIGNATURE, "").encode())
        is_whole = all(
            value.isdecimal() and value.isascii() and len(value) <= _NUMBER_LENGTH_MAX
            for value in facts.values()
        )
        if not (is_ours and is_whole and EXPIRES in facts):
            raise BadAddressError(BadAddress.NOT_OURS)
        if int(facts[EXPIRES]) < now:
            raise BadAddressError(BadAddress.EXPIRED)
        return int(facts[SIZE_MAX]) if SIZE_MAX in facts else None

    def _signature(self, method: str, name: str, facts: Mapping[str, str]) -> str:
        said = "\0".join((_PURPOSE, method, name, *(f"{field}={value}" for field, value in facts.items())))
        return hmac.digest(self.secret.encode(), said.encode(), "sha256").hex()

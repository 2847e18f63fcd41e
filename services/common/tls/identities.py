"""Names that certificates give to those who hold them, and lists of them. One that ends with `/*` means all below it."""

from typing import Annotated

from pydantic import BeforeValidator

JOBS = "spiffe://reelgate/jobs"
WEBHOOKS = "spiffe://reelgate/webhooks"
BILLING = "spiffe://reelgate/billing"
OPERATORS = "spiffe://reelgate/operator/*"
_SCHEME = "spiffe://"
_ALL_BELOW = "/*"


def parse_identities(listed: str | tuple[str, ...]) -> tuple[str, ...]:
    """Returns the identities of a comma-separated list. Raises ValueError."""
    parts = listed.split(",") if isinstance(listed, str) else listed
    identities = tuple(part.strip() for part in parts if part.strip())
    for identity in identities:
        trust_domain, _, path = identity.removeprefix(_SCHEME).removesuffix(_ALL_BELOW).partition("/")
        if not identity.startswith(_SCHEME) or not trust_domain or "*" in trust_domain + path:
            raise ValueError(
                f"{identity} is not an identity: write {_SCHEME}TRUST/PATH, or {_SCHEME}TRUST/PATH/*"
            )
    return identities


Identities = Annotated[tuple[str, ...], BeforeValidator(parse_identities)]


def covers(entry: str, identity: str) -> bool:
    """Returns whether an entry of a list means this identity."""
    if entry.endswith(_ALL_BELOW):
        return identity.startswith(entry.removesuffix("*"))
    return identity == entry

"""Signatures such as `t=1764288000,v1=5257a8…`, as their receiver checks them."""

import hmac
from collections.abc import Iterable

from services.upstream.callback_keys import is_recent
from services.upstream.provider import Hint

_PARTS_MAX = 10


def hint_of(
    task_id: str, header: str, body: bytes, *, secret: str | None, joint: bytes, now: float
) -> Hint | None:
    """Returns what a callback about a task is worth: authentic if it was signed with the secret, None if it was not.

    Without a secret it is a hint that anybody may have sent.
    """
    if secret is None:
        return Hint(task_id=task_id, is_authentic=False)
    if not _is_signed(header, body, secret=secret, joint=joint, now=now):
        return None
    return Hint(task_id=task_id, is_authentic=True)


def _is_signed(header: str, body: bytes, *, secret: str, joint: bytes, now: float) -> bool:
    """Returns whether a header holds a signature of a body that was made just now with a secret.

    What is signed is the time, the `joint` and the body. While a secret is being changed, there may be several signatures.
    """
    parts = [part.partition("=")[::2] for part in header.split(",", _PARTS_MAX)]
    times = [value for name, value in parts if name == "t"]
    if len(times) != 1 or not is_recent(times[0], now=now):
        return False
    expected = hmac.digest(secret.encode(), times[0].encode() + joint + body, "sha256").hex()
    return _holds(expected, (value for name, value in parts if name == "v1"))


def _holds(expected: str, signatures: Iterable[str]) -> bool:
    return any(hmac.compare_digest(each.encode(), expected.encode()) for each in signatures)

"""What is wrong with a webhook that does not verify: its age, the secret, or what happened to its body on the way."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reelgate_client.errors import SignatureError
from reelgate_client.webhooks import CONTRACT_HEADERS, verify

ANY_AGE = float("inf")
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")


def judge(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: float, tolerance: float
) -> dict[str, Any]:
    """Returns whether a webhook is genuine, and for people what is wrong and what to do."""
    found = {name.lower(): value for name, value in headers.items()}
    age = round(now - signed_at) if (signed_at := _signed_at(found)) is not None else None
    code = _code(body, headers, secrets, now=now, tolerance=tolerance)
    verdict: dict[str, Any] = {"genuine": code is None, "age_seconds": age}
    if code is None:
        return verdict | {"event_id": found.get("webhook-id"), "says": "The signature fits."}
    return verdict | {"code": code, **_explained(code, body, headers, secrets, age=age, tolerance=tolerance)}


def _explained(
    code: str,
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    *,
    age: int | None,
    tolerance: float,
) -> dict[str, str]:
    if code == "no_signature":
        names = ", ".join(("webhook-signature", *CONTRACT_HEADERS))
        return {
            "says": "There is no signature of ours among the headers.",
            "do": f"Keep the headers as they came ({names}); a framework may rename them.",
        }
    if code == "too_old":
        return {
            "says": f"The signature fits, and was made {age} seconds ago; the tolerance is {tolerance:g}.",
            "do": "Verify when it arrives, before it is queued. For a capture, --tolerance 0.",
        }
    if code == "too_new":
        return {
            "says": f"The signature fits, and is from {-(age or 0)} seconds ahead.",
            "do": "Set the clock of this machine.",
        }
    for change, undone in CHANGES.items():
        if any(_fits(each, headers, secrets) for each in undone(body) if each != body):
            return {
                "says": f"The body was changed on its way: {change}.",
                "do": "Verify the raw bytes of the request, before anything parses them.",
            }
    if malformed := [each for each in secrets if SECRET.fullmatch(each) is None]:
        return {
            "says": f"{len(malformed)} of {len(secrets)} secrets is none: one is whsec_ and 44 characters.",
            "do": "Give the whole text, with whsec_.",
        }
    return {
        "says": "No signature fits: the secret is another one, or the body was changed.",
        "do": "Compare the secret: each endpoint, each listener, and callbacks of each environment have one of their own.",
    }


def _code(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: float, tolerance: float
) -> str | None:
    try:
        verify(body, headers, secrets, tolerance, now=now)
    except SignatureError as error:
        return error.code or "no_match"
    except ValueError:
        return None  # signed, and no JSON: not a question of the signature
    return None


def _fits(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> bool:
    return _code(body, headers, secrets, now=0, tolerance=ANY_AGE) is None


def _rewritten(body: bytes) -> Iterator[bytes]:
    try:
        value = json.loads(body)
    except ValueError:
        return
    for separators in ((",", ":"), None):
        for is_ascii in (True, False):
            yield json.dumps(value, separators=separators, ensure_ascii=is_ascii).encode()


def _signed_at(headers: Mapping[str, str]) -> int | None:
    times = [headers.get("webhook-timestamp", "")]
    for name in CONTRACT_HEADERS:
        times += [
            part.strip()[2:] for part in headers.get(name, "").split(",") if part.strip().startswith("t=")
        ]
    return next((int(each) for each in times if each.isascii() and each.isdigit()), None)


CHANGES: Mapping[str, Callable[[bytes], Iterator[bytes]]] = {
    "a line end was added at its end": lambda body: iter((body.rstrip(b"\r\n"),)),
    "the line end at its end was removed": lambda body: iter((body + b"\n", body + b"\r\n")),
    "its line ends were changed": lambda body: iter(
        (body.replace(b"\r\n", b"\n"), body.replace(b"\n", b"\r\n"))
    ),
    "it was parsed and written again": _rewritten,
}

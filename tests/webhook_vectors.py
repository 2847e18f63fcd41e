"""The published test vectors of webhook signatures, made by the service's own signer.

`python -m tests.webhook_vectors` writes clients/webhooks/vectors.json.
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.webhooks.domain import SECRET_PREFIX, Delivery, new_secret
from services.webhooks.signatures import render_headers

FILE = Path(__file__).parent.parent / "clients/webhooks/vectors.json"
NOW = 1_770_000_000
TOLERANCE_SECONDS = 300
SECRET = new_secret(lambda count: bytes(range(count)))
NEW_SECRET = new_secret(lambda count: bytes(range(32, 32 + count)))
OTHER_SECRET = new_secret(lambda count: bytes(range(64, 64 + count)))

VIDEO = (
    '{"data":{"id":"vid_01jz8b7q4x8k2p9w3m5c6n7r8s","status":"completed","metadata":{"note":"Frühling 雪"}}}'
)
JOB = (
    '{"id":"evt_01jz8b7q4x8k2p9w3m5c6n7r8s","type":"job.succeeded","created_at":"2026-06-29T10:06:20.000Z",'
    '"sequence":3,"data":{"id":"job_01jz8b7q4x8k2p9w3m5c6n7r8s","status":"succeeded","metadata":{"note":"Frühling 雪"}}}'
)
SPACED = b'{\r\n  "data": {"id": "vid_1",   "status": "completed"}\r\n}\n'
NOT_UTF_8 = b'{"data":{"id":"vid_1","note":"\xff\xfe"}}'
ABOUT = [
    "Test vectors for receivers of Reelgate's webhooks. The secrets are made up.",
    "Judge each case as a receiver would at `now` (Unix seconds), with `secrets` and `tolerance_seconds`:",
    "`headers` as they came, and the raw body, which is `body_base64` decoded.",
    "A verifier must accept the cases whose `result` is `valid`, and no others.",
    "Why it refuses (`no_signature`, `no_match`, `too_old`, `too_new`) is advice.",
    "Where `json` is false the body is not JSON in UTF-8: the signature holds all the same.",
]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request that a receiver judges."""

    name: str
    headers: Mapping[str, str]
    body: bytes
    result: str
    why: str
    secrets: Sequence[str] = (SECRET,)

    def as_json(self) -> dict[str, Any]:
        """Returns what is published of it."""
        return {
            "name": self.name,
            "result": self.result,
            "why": self.why,
            "now": NOW,
            "secrets": list(self.secrets),
            "headers": dict(self.headers),
            "body_base64": b64encode(self.body).decode(),
            "json": _is_json(self.body),
        }


def signed(
    contract: str, *secrets: str, body: bytes | None = None, age: int = 0, only: str = ""
) -> dict[str, str]:
    """Returns the headers that the service sends `age` seconds before NOW; of those that sign, `only` these."""
    delivery = Delivery(
        job_id="vid_1",
        target_id="callback",
        receiver_id="acct_1 https://example.com",
        account_id="acct_1",
        environment="live",
        lease_no=1,
        attempt_count=0,
        postponement_count=0,
        event_id="evt_01jz8b7q4x8k2p9w3m5c6n7r8s",
        contract=contract,
        type="video.generation.completed" if contract == "seedancee2" else "job.succeeded",
        target_url="https://example.com/hook",
        body=body_of(contract) if body is None else body,
        sealed_secrets=(),
    )
    headers = render_headers(delivery, secrets=secrets or (SECRET,), sent_at=NOW - age)
    return {name: value for name, value in headers.items() if _is_about(name, only)}


def body_of(contract: str) -> bytes:
    """Returns the usual body of a contract."""
    return (VIDEO if contract == "seedancee2" else JOB).encode()


def rendered() -> str:
    """Returns the file."""
    content = {
        "about": ABOUT,
        "tolerance_seconds": TOLERANCE_SECONDS,
        "cases": [case.as_json() for case in cases()],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def cases() -> Iterator[Case]:
    """Yields every case, in the order of the file."""
    for contract in ("seedancee2", "nextapi"):
        yield Case(
            name=f"{contract}: as sent",
            headers=signed(contract),
            body=body_of(contract),
            result="valid",
            why="every signature that the service sends is there",
        )
        yield from _of_scheme(contract, contract=contract, only="x-")
    yield from _of_scheme("standard", contract="seedancee2", only="webhook-")
    yield from _of_bodies()
    yield from _of_headers()
    yield from _of_keys()


def _of_scheme(name: str, *, contract: str, only: str) -> Iterator[Case]:
    body = body_of(contract)

    def case(title: str, result: str, why: str, **changed: Any) -> Case:
        usual = {"headers": signed(contract, only=only), "body": body}
        return Case(name=f"{name}: {title}", result=result, why=why, **(usual | changed))

    def old_and_new(*receiver: str) -> dict[str, Any]:
        return {"headers": signed(contract, SECRET, NEW_SECRET, only=only), "secrets": receiver}

    def aged(seconds: int) -> dict[str, Any]:
        return {"headers": signed(contract, age=seconds, only=only)}

    yield case("valid", "valid", "signed with the receiver's secret, now")
    yield case(
        "rotation, old secret",
        "valid",
        "the first of two signatures is by the old secret",
        **old_and_new(SECRET),
    )
    yield case(
        "rotation, new secret",
        "valid",
        "the second of two signatures is by the new one",
        **old_and_new(NEW_SECRET),
    )
    yield case(
        "receiver has two secrets",
        "valid",
        "one of the receiver's secrets is enough",
        secrets=(NEW_SECRET, SECRET),
    )
    yield case(
        "wrong secret",
        "no_match",
        "signed with a secret that the receiver does not have",
        secrets=(OTHER_SECRET,),
    )
    yield case(
        "rotation, wrong secret",
        "no_match",
        "neither signature is by the receiver's secret",
        **old_and_new(OTHER_SECRET),
    )
    yield case("nearly too old", "valid", "299 seconds old", **aged(299))
    yield case("too old", "too_old", "301 seconds old: it may be a recording", **aged(301))
    yield case("nearly too new", "valid", "299 seconds ahead of the receiver's clock", **aged(-299))
    yield case("too new", "too_new", "301 seconds ahead of the receiver's clock", **aged(-301))
    yield case("changed body", "no_match", "one character differs", body=body.replace(b"r8s", b"r8t", 1))
    yield case("body cut short", "no_match", "the last byte is missing", body=body[:-1])


def _of_bodies() -> Iterator[Case]:
    for contract, only in (("seedancee2", "x-seedancee2"), ("nextapi", "x-"), ("seedancee2", "webhook-")):
        scheme = "standard" if only == "webhook-" else contract

        def case(title: str, sent: bytes, came: bytes, result: str, why: str) -> Case:
            headers = signed(contract, body=sent, only=only)  # noqa: B023  called within the same turn
            return Case(name=f"{scheme}: {title}", headers=headers, body=came, result=result, why=why)  # noqa: B023

        parsed = json.dumps(json.loads(SPACED)).encode()
        replaced = NOT_UTF_8.decode(errors="replace").encode()
        yield case("white space", SPACED, SPACED, "valid", "the signature covers white space and line ends")
        yield case(
            "body printed again", SPACED, parsed, "no_match", "parsed and printed again it is another text"
        )
        yield case("not UTF-8", NOT_UTF_8, NOT_UTF_8, "valid", "the signature covers bytes, not characters")
        yield case("decoded as UTF-8", NOT_UTF_8, replaced, "no_match", "decoding replaced two bytes")
        yield case("empty body", b"", b"", "valid", "nothing is signed too")


def _of_headers() -> Iterator[Case]:
    for contract in ("seedancee2", "nextapi"):
        headers = signed(contract)
        name, timed = next(
            (name, value) for name, value in headers.items() if name.startswith("X-") and "v1=" in value
        )
        digest = timed.partition("v1=")[2]
        late = signed(contract, age=3600)[name]

        def case(title: str, sent: Mapping[str, str], result: str, why: str) -> Case:
            body = body_of(contract)  # noqa: B023  called within the same turn
            return Case(name=f"{contract}: {title}", headers=sent, body=body, result=result, why=why)  # noqa: B023

        yield case(
            "lower-case names",
            {k.lower(): v for k, v in headers.items()},
            "valid",
            "as HTTP/2 and Node write them",
        )
        yield case(
            "upper-case names", {k.upper(): v for k, v in headers.items()}, "valid", "names have no case"
        )
        yield case(
            "spaces between the parts",
            {name: timed.replace(",", " , ")},
            "valid",
            "a list may be written with spaces",
        )
        yield case("no headers", {}, "no_signature", "nothing says who sent it")
        yield case("empty signature", {name: ""}, "no_signature", "the header says nothing")
        yield case("without a time", {name: f"v1={digest}"}, "no_signature", "its age cannot be judged")
        yield case(
            "time in words", {name: f"t=now,v1={digest}"}, "no_signature", "a time is digits and nothing else"
        )
        yield case("without a digest", {name: f"t={NOW}"}, "no_signature", "there is nothing to compare")
        yield case("unknown version", {name: timed.replace("v1=", "v0=")}, "no_signature", "only v1 is ours")
        yield case("digest cut short", {name: timed[:-2]}, "no_match", "part of a digest proves nothing")
        yield case("digest of nothing", {name: f"t={NOW},v1="}, "no_match", "nor does an empty one")
        yield case(
            "later time",
            {name: timed.replace(str(NOW), str(NOW + 1))},
            "no_match",
            "the signature covers the time",
        )
        yield case(
            "second time", {name: f"{late},t={NOW}"}, "too_old", "the first time is the one that counts"
        )
    headers = signed("nextapi", only="x-")
    yield Case(
        name="nextapi: one of two headers broken",
        headers=headers | {"X-NextAPI-Signature": f"t={NOW},v1={'0' * 64}"},
        body=body_of("nextapi"),
        result="valid",
        why="both headers are looked at, and one signature is enough",
    )
    yield from _of_standard_headers()


def _of_standard_headers() -> Iterator[Case]:
    sent = signed("seedancee2", only="webhook-")
    signature = sent["webhook-signature"]

    def case(title: str, result: str, why: str, *, without: str = "", **changed: str) -> Case:
        headers = sent | {f"webhook-{name}": value for name, value in changed.items()}
        headers.pop(without, None)
        return Case(
            name=f"standard: {title}", headers=headers, body=body_of("seedancee2"), result=result, why=why
        )

    yield case("other id", "no_match", "the signature covers the id", id="evt_2")
    yield case("without an id", "no_signature", "the signature covers the id", without="webhook-id")
    yield case("without a time", "no_signature", "its age cannot be judged", without="webhook-timestamp")
    yield case("later time", "no_match", "the signature covers the time", timestamp=str(NOW + 1))
    yield case(
        "unknown version", "no_signature", "v1a is another scheme", signature=signature.replace("v1,", "v1a,")
    )
    yield case(
        "unknown version first", "valid", "what is not v1 is passed over", signature=f"v1a,c2ln {signature}"
    )


def _of_keys() -> Iterator[Case]:
    """The two slips that receivers make: the contracts' key is the whole text, that of Standard Webhooks its bytes."""
    body = body_of("seedancee2")
    decoded = b64decode(SECRET.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(decoded, b"%d.%s" % (NOW, body), "sha256").hex()
    yield Case(
        name="seedancee2: keyed with the decoded secret",
        headers={"X-Seedancee2-Signature": f"t={NOW},v1={digest}"},
        body=body,
        result="no_match",
        why="the key is the whole text of the secret, whsec_ included",
    )
    headers = signed("seedancee2", only="webhook-")
    content = b"%s.%d.%s" % (headers["webhook-id"].encode(), NOW, body)
    whole = b64encode(hmac.digest(SECRET.encode(), content, "sha256")).decode()
    yield Case(
        name="standard: keyed with the whole secret",
        headers=headers | {"webhook-signature": f"v1,{whole}"},
        body=body,
        result="no_match",
        why="the key is what follows whsec_, decoded from base64",
    )


def _is_about(name: str, only: str) -> bool:
    return name in ("Content-Type", "User-Agent") or name.lower().startswith(only)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body.decode())
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    FILE.write_text(rendered(), encoding="utf-8")

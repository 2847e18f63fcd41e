"""A webhook that does not verify: what is wrong with it, in words."""

import json
from pathlib import Path
from typing import Any

import pytest
from reelgate_client.cli.hooks import captured
from reelgate_client.cli.verdicts import judge

from services.webhooks.domain import Delivery
from services.webhooks.signatures import render_headers
from tests.webhook_vectors import NEW_SECRET, NOW, SECRET

BODY = b'{"data": {"id": "vid_1", "note": "\xc3\xa4"}}'


def _headers(body: bytes = BODY) -> dict[str, str]:
    delivery = Delivery(
        job_id="vid_1", target_id="callback", receiver_id="r", account_id="a", environment="test", lease_no=1,
        attempt_count=0, postponement_count=0, event_id="evt_1", contract="seedancee2",
        type="video.generation.completed", target_url="", body=body, sealed_secrets=(),
    )  # fmt: skip
    return render_headers(delivery, secrets=[SECRET], sent_at=NOW)


@pytest.mark.parametrize(
    ("body", "secret", "now", "says"),
    [
        (BODY, SECRET, NOW, "fits"),
        (BODY, SECRET, NOW + 301, "301 seconds ago"),
        (BODY, SECRET, NOW - 400, "400 seconds ahead"),
        (BODY + b"\n", SECRET, NOW, "a line end was added"),
        (json.dumps(json.loads(BODY)).encode(), SECRET, NOW, "parsed and written again"),
        (BODY, NEW_SECRET, NOW, "the secret is another one"),
        (BODY, SECRET[:-5], NOW, "1 of 1 secrets is none"),
        (BODY.replace(b"vid_1", b"vid_2"), SECRET, NOW, "or the body was changed"),
    ],
)
def test_a_verdict_says_what_is_wrong(body: bytes, secret: str, now: int, says: str) -> None:
    signed = json.dumps(json.loads(BODY), separators=(",", ":")).encode() if "written again" in says else BODY

    verdict = judge(body, _headers(signed), [secret], now=now, tolerance=300)

    assert says in verdict["says"]
    assert verdict["genuine"] == (says == "fits")


def test_headers_without_a_signature_are_named() -> None:
    verdict = judge(BODY, {"content-type": "application/json"}, [SECRET], now=NOW, tolerance=300)

    assert (verdict["code"], verdict["genuine"]) == ("no_signature", False)
    assert "x-seedancee2-signature" in verdict["do"]


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_a_request_as_it_was_sent_is_read(line_end: str) -> None:
    head = "".join(f"{name}: {value}{line_end}" for name, value in _headers().items())
    content = f"POST /hook HTTP/1.1{line_end}{head}{line_end}".encode() + BODY

    headers, body = captured(content)

    assert (body, headers["webhook-id"]) == (BODY, "evt_1")


def test_the_command_checks_a_capture_of_any_age(command: Any, tmp_path: Path) -> None:
    file = tmp_path / "capture.json"
    file.write_text(json.dumps({"headers": _headers(), "body": BODY.decode()}))

    old = command("webhooks", "verify", str(file), "--secret", SECRET)
    any_age = command("webhooks", "verify", str(file), "--secret", SECRET, "--tolerance", "0")

    assert (old.exit_code, any_age.exit_code) == (1, 0), any_age.output
    assert json.loads(old.stdout)["code"] == "too_old"

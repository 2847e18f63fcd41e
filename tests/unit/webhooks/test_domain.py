import base64
import hashlib
import hmac
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.webhooks.domain import (
    POSTPONEMENTS_MAX,
    RETRY_SECONDS,
    Answer,
    Attempt,
    Delivery,
    NoAnswer,
    Outcome,
    judge,
    new_secret,
    render_headers,
)

SENT_AT = 1_770_000_000
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
DELIVERY = Delivery(
    job_id="vid_1",
    target_id="callback",
    lease_no=1,
    attempt_count=0,
    postponement_count=0,
    event_id="vid_1-1",
    contract="seedancee2",
    type="video.generation.completed",
    target_url="https://example.com/hook",
    body='{"data":{"id":"vid_1","note":"ä"}}'.encode(),
    sealed_secret=b"sealed",
)
OURS = NoAnswer(error="the host name does not resolve", is_ours=True)
THEIRS = NoAnswer(error="connection refused", is_ours=False)


def _attempt(result: Answer | NoAnswer, *, attempt_count: int = 0, postponement_count: int = 0) -> Attempt:
    delivery = replace(DELIVERY, attempt_count=attempt_count, postponement_count=postponement_count)
    return Attempt(delivery=delivery, started_at=datetime.fromtimestamp(0, UTC), latency_ms=1, result=result)


def test_the_contracts_signature_covers_the_time_and_the_exact_body() -> None:
    headers = render_headers(DELIVERY, secret=SECRET, sent_at=SENT_AT)

    expected = hmac.new(SECRET.encode(), b"1770000000." + DELIVERY.body, hashlib.sha256).hexdigest()
    assert headers["X-Seedancee2-Signature"] == f"t=1770000000,v1={expected}"
    assert headers["X-Seedancee2-Event"] == "video.generation.completed"
    assert headers["Content-Type"] == "application/json"


def test_the_standard_signature_is_keyed_with_the_decoded_part() -> None:
    headers = render_headers(DELIVERY, secret=SECRET, sent_at=SENT_AT)

    digest = hmac.new(bytes(range(32)), b"vid_1-1.1770000000." + DELIVERY.body, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert headers["webhook-id"] == "vid_1-1"
    assert headers["webhook-timestamp"] == "1770000000"


def test_an_account_without_a_secret_gets_no_signature() -> None:
    headers = render_headers(DELIVERY, secret=None, sent_at=SENT_AT)

    assert not [name for name in headers if "signature" in name.lower()]
    assert headers["X-Seedancee2-Event"] == "video.generation.completed"


def test_another_contract_gets_only_the_standard_headers() -> None:
    headers = render_headers(replace(DELIVERY, contract="nextapi"), secret=SECRET, sent_at=SENT_AT)

    assert "webhook-signature" in headers
    assert not [name for name in headers if name.startswith("X-")]


def test_a_new_secret_is_the_base64_of_32_bytes() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    secret = new_secret(random_bytes)

    assert asked == [32]
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_2xx_answer_is_a_success(status: int) -> None:
    assert judge(_attempt(Answer(status=status, excerpt=b""))).outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    "result",
    [*(Answer(status=status, excerpt=b"") for status in (302, 304, 400, 404, 410, 429, 500, 503)), THEIRS],
)
def test_everything_else_is_a_failure(result: Answer | NoAnswer) -> None:
    assert judge(_attempt(result)).outcome is Outcome.FAILED


def test_failures_wait_as_published_and_the_sixth_is_the_last() -> None:
    judged = [judge(_attempt(THEIRS, attempt_count=count)) for count in range(6)]

    assert (
        [each.wait_seconds for each in judged[:5]] == [60, 300, 1_800, 7_200, 43_200] == list(RETRY_SECONDS)
    )
    assert {each.outcome for each in judged[:5]} == {Outcome.FAILED}
    assert judged[5].outcome is Outcome.DEAD_LETTERED


@pytest.mark.parametrize("attempt_count", [0, 5])
def test_an_outage_of_our_own_consumes_no_attempt(attempt_count: int) -> None:
    judged = [
        judge(_attempt(OURS, attempt_count=attempt_count, postponement_count=count)) for count in (0, 1, 50)
    ]

    assert {each.outcome for each in judged} == {Outcome.POSTPONED}
    assert [each.wait_seconds for each in judged] == [5, 10, 300]


def test_an_outage_that_never_ends_is_the_receivers() -> None:
    judged = judge(_attempt(OURS, postponement_count=POSTPONEMENTS_MAX))

    assert judged.outcome is Outcome.FAILED
    assert judged.wait_seconds == 60

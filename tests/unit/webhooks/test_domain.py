import base64
import hashlib
import hmac
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.webhooks.domain import (
    POSTPONEMENTS_MAX,
    RETRY_AFTER_SECONDS_MAX,
    RETRY_SECONDS,
    Answer,
    Attempt,
    Delivery,
    Health,
    NoAnswer,
    Outcome,
    judge,
    new_secret,
)
from services.webhooks.signatures import render_headers

SENT_AT = 1_770_000_000
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEW_SECRET = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
DELIVERY = Delivery(
    job_id="vid_1",
    target_id="callback",
    receiver_id="acct_1 https://example.com",
    account_id="acct_1",
    environment="live",
    lease_no=1,
    attempt_count=0,
    postponement_count=0,
    event_id="vid_1-1",
    contract="seedancee2",
    type="video.generation.completed",
    target_url="https://example.com/hook",
    body='{"data":{"id":"vid_1","note":"ä"}}'.encode(),
    sealed_secrets=(b"sealed",),
)
OURS = NoAnswer(error="the host name does not resolve", is_ours=True)
THEIRS = NoAnswer(error="connection refused", is_ours=False)


def _attempt(result: Answer | NoAnswer, *, attempt_count: int = 0, postponement_count: int = 0) -> Attempt:
    delivery = replace(DELIVERY, attempt_count=attempt_count, postponement_count=postponement_count)
    return Attempt(delivery=delivery, started_at=datetime.fromtimestamp(0, UTC), latency_ms=1, result=result)


def _timed(secret: str) -> str:
    return hmac.new(secret.encode(), b"1770000000." + DELIVERY.body, hashlib.sha256).hexdigest()


def _standard(key: bytes) -> str:
    digest = hmac.new(key, b"vid_1-1.1770000000." + DELIVERY.body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def test_contract_a_s_signature_covers_the_time_and_the_exact_body() -> None:
    headers = render_headers(DELIVERY, secrets=[SECRET], sent_at=SENT_AT)

    assert headers["X-Seedancee2-Signature"] == f"t=1770000000,v1={_timed(SECRET)}"
    assert headers["X-Seedancee2-Event"] == "video.generation.completed"
    assert headers["Content-Type"] == "application/json"
    assert not [name for name in headers if "nextapi" in name.lower()]


def test_contract_b_s_signature_stands_under_both_its_names() -> None:
    headers = render_headers(replace(DELIVERY, contract="nextapi"), secrets=[SECRET], sent_at=SENT_AT)

    assert {name: value for name, value in headers.items() if name.startswith("X-")} == {
        "X-NextAPI-Signature": f"t=1770000000,v1={_timed(SECRET)}",
        "X-Webhook-Signature": f"t=1770000000,v1={_timed(SECRET)}",
    }


def test_the_standard_signature_is_keyed_with_the_decoded_part() -> None:
    headers = render_headers(DELIVERY, secrets=[SECRET], sent_at=SENT_AT)

    assert headers["webhook-signature"] == _standard(bytes(range(32)))
    assert headers["webhook-id"] == "vid_1-1"
    assert headers["webhook-timestamp"] == "1770000000"


@pytest.mark.parametrize(
    ("contract", "header"), [("seedancee2", "X-Seedancee2-Signature"), ("nextapi", "X-NextAPI-Signature")]
)
def test_several_secrets_sign_in_the_order_given(contract: str, header: str) -> None:
    delivery = replace(DELIVERY, contract=contract)

    headers = render_headers(delivery, secrets=[SECRET, NEW_SECRET], sent_at=SENT_AT)

    assert headers[header] == f"t=1770000000,v1={_timed(SECRET)},v1={_timed(NEW_SECRET)}"
    expected = f"{_standard(bytes(range(32)))} {_standard(bytes(range(32, 64)))}"
    assert headers["webhook-signature"] == expected


def test_an_account_without_a_secret_gets_no_signature() -> None:
    headers = render_headers(DELIVERY, secrets=[], sent_at=SENT_AT)

    assert not [name for name in headers if "signature" in name.lower()]
    assert headers["X-Seedancee2-Event"] == "video.generation.completed"


def test_another_contract_gets_only_the_standard_headers() -> None:
    headers = render_headers(replace(DELIVERY, contract="other"), secrets=[SECRET], sent_at=SENT_AT)

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
    judged = judge(_attempt(Answer(status=status, excerpt=b"")))

    assert (judged.outcome, judged.health) == (Outcome.DELIVERED, Health.WELL)


@pytest.mark.parametrize(
    "result",
    [*(Answer(status=status, excerpt=b"") for status in (302, 304, 400, 404, 429, 500, 503)), THEIRS],
)
def test_everything_else_is_a_failure(result: Answer | NoAnswer) -> None:
    judged = judge(_attempt(result))

    assert (judged.outcome, judged.health) == (Outcome.FAILED, Health.FAILING)


def test_a_receiver_that_is_gone_is_not_asked_again() -> None:
    judged = judge(_attempt(Answer(status=410, excerpt=b"")))

    assert (judged.outcome, judged.health) == (Outcome.DEAD_LETTERED, Health.GONE)


@pytest.mark.parametrize(
    ("result", "is_overload"),
    [
        (Answer(status=200, excerpt=b""), False),
        (Answer(status=404, excerpt=b""), False),
        (Answer(status=500, excerpt=b""), True),
        (THEIRS, True),
        (OURS, False),
    ],
)
def test_no_answer_and_5xx_are_signs_of_overload(result: Answer | NoAnswer, *, is_overload: bool) -> None:
    assert judge(_attempt(result)).is_overload is is_overload


@pytest.mark.parametrize(
    ("attempt_count", "asked_seconds", "wait_seconds"),
    [(0, 30, 60), (0, 90, 90), (4, 90, 43_200), (0, 10**9, RETRY_AFTER_SECONDS_MAX)],
)
def test_retry_after_moves_the_wait_and_never_shortens_it(
    attempt_count: int, asked_seconds: int, wait_seconds: int
) -> None:
    answer = Answer(status=503, excerpt=b"", retry_after_seconds=asked_seconds)

    assert judge(_attempt(answer, attempt_count=attempt_count)).wait_seconds == wait_seconds


def test_retry_after_adds_no_attempt() -> None:
    answer = Answer(status=503, excerpt=b"", retry_after_seconds=60)

    assert judge(_attempt(answer, attempt_count=5)).outcome is Outcome.DEAD_LETTERED


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

    assert {(each.outcome, each.health) for each in judged} == {(Outcome.POSTPONED, Health.UNKNOWN)}
    assert [each.wait_seconds for each in judged] == [5, 10, 300]


def test_an_outage_that_never_ends_is_the_receivers() -> None:
    judged = judge(_attempt(OURS, postponement_count=POSTPONEMENTS_MAX))

    assert judged.outcome is Outcome.FAILED
    assert judged.wait_seconds == 60

"""What customers verify signatures with accepts ours: contract B's own verifier, and that of Standard Webhooks."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.webhooks.domain import RETRY_SECONDS, Delivery
from services.webhooks.signatures import render_headers
from tests.integration.webhooks.published_verifier import Presented, verdicts

BODY = json.dumps({"id": "evt_1", "data": {"metadata": {"note": "ä 文 €"}}}, ensure_ascii=False)
OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([seed]) * 32).decode() for seed in (1, 2, 251))
SENT_AT = 1_770_000_000
RETRIED_AT = SENT_AT + RETRY_SECONDS[-1]
DELIVERY = Delivery(
    job_id="job_1",
    target_id="whe_1",
    receiver_id="acct_1 https://example.com",
    account_id="acct_1",
    environment="live",
    lease_no=1,
    attempt_count=0,
    postponement_count=0,
    event_id="evt_1",
    contract="nextapi",
    type="job.succeeded",
    target_url="https://example.com/hook",
    body=BODY.encode(),
    sealed_secrets=(),
)


def header(*secrets: str, sent_at: int = SENT_AT) -> str:
    return render_headers(DELIVERY, secrets=secrets, sent_at=sent_at)["X-NextAPI-Signature"]


def presented(header: str, **changes: Any) -> Presented:
    return replace(Presented(body=BODY, header=header, secret=OLD, now=SENT_AT), **changes)


# What the published verifier is shown, and whether it accepts.
CASES: dict[str, tuple[Presented, bool]] = {
    "the plain case": (presented(header(OLD)), True),
    "a receiver's clock 299 s fast": (presented(header(OLD), now=SENT_AT + 299.9), True),
    "a receiver's clock 299 s slow": (presented(header(OLD), now=SENT_AT - 299.9), True),
    "stale": (presented(header(OLD), now=SENT_AT + 300), False),
    "from the future": (presented(header(OLD), now=SENT_AT - 300), False),
    "a retry 12 h later": (presented(header(OLD, sent_at=RETRIED_AT), now=RETRIED_AT), True),
    "a retry signed as the first attempt": (presented(header(OLD), now=RETRIED_AT), False),
    "a stale signature under a fresh time": (
        presented(header(OLD).replace(str(SENT_AT), str(RETRIED_AT)), now=RETRIED_AT),
        False,
    ),
    "a changed body": (presented(header(OLD), body=BODY.replace("ä", "a")), False),
    "a body written anew": (presented(header(OLD), body=BODY.replace(": ", ":")), False),
    "another secret": (presented(header(OTHER)), False),
    "rotating, with the old secret": (presented(header(OLD, NEW)), True),
    "rotating, with the new secret too early": (presented(header(OLD, NEW), secret=NEW), False),
    "confirmed, with the new secret": (presented(header(NEW, OLD), secret=NEW), True),
    "confirmed, with the old secret still": (presented(header(NEW, OLD)), False),
    "rotated": (presented(header(NEW), secret=NEW), True),
}


def test_the_published_verifier_accepts_what_is_ours_and_fresh() -> None:
    judged = verdicts([shown for shown, _ in CASES.values()])

    assert dict(zip(CASES, judged, strict=True)) == {name: accepts for name, (_, accepts) in CASES.items()}


def test_both_headers_of_contract_b_say_the_same() -> None:
    headers = render_headers(DELIVERY, secrets=[OLD, NEW], sent_at=SENT_AT)

    assert headers["X-Webhook-Signature"] == headers["X-NextAPI-Signature"]


@pytest.mark.parametrize("contract", ["nextapi", "seedancee2"])
@pytest.mark.parametrize("secrets", [(OLD,), (OLD, NEW), (NEW, OLD)])
def test_the_standard_verifier_accepts_each_secret_that_signs(
    contract: str, secrets: tuple[str, ...]
) -> None:
    delivery = replace(DELIVERY, contract=contract)
    headers = render_headers(delivery, secrets=secrets, sent_at=int(time.time()))

    for secret in secrets:
        assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)


@pytest.mark.parametrize(
    ("age_seconds", "body", "secret"),
    [(600, BODY, OLD), (-600, BODY, OLD), (0, BODY.replace("ä", "a"), OLD), (0, BODY, OTHER)],
    ids=["stale", "from the future", "a changed body", "another secret"],
)
def test_the_standard_verifier_refuses_what_is_not_ours_or_not_fresh(
    age_seconds: int, body: str, secret: str
) -> None:
    headers = render_headers(DELIVERY, secrets=[OLD, NEW], sent_at=int(time.time()) - age_seconds)

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)

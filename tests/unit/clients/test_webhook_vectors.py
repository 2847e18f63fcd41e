"""The published vectors are what the service signs, and other people's verifiers agree with them."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from tests.standard_webhooks import verified
from tests.webhook_vectors import FILE, rendered

CASES: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["cases"]


def test_the_published_file_is_what_the_service_signs() -> None:
    assert FILE.read_text(encoding="utf-8") == rendered(), "run `python -m tests.webhook_vectors` and commit"


def test_every_scheme_has_cases_of_every_result() -> None:
    found = {(case["name"].partition(":")[0], case["result"]) for case in CASES}

    results = ("valid", "no_signature", "no_match", "too_old", "too_new")
    assert found == {(scheme, each) for scheme in ("seedancee2", "nextapi", "standard") for each in results}
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    "case", [each for each in CASES if each["name"].startswith("standard")], ids=lambda c: c["name"]
)
def test_the_library_of_standard_webhooks_agrees(case: dict[str, Any]) -> None:
    assert _accepted(case) is (case["result"] == "valid" and case["json"])


def _accepted(case: dict[str, Any]) -> bool:
    for secret in case["secrets"]:
        try:
            verified(
                b64decode(case["body_base64"]),
                case["headers"],
                secret=secret,
                at=datetime.fromtimestamp(case["now"], UTC),
            )
        except (WebhookVerificationError, ValueError):  # the second for a signed body that is no JSON
            continue
        return True
    return False

"""The client's verifier judges the published vectors as they say."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from reelgate_client import SignatureError, webhooks

VECTORS = json.loads((Path(__file__).parents[4] / "clients" / "webhooks" / "vectors.json").read_text())
CASES: list[dict[str, Any]] = VECTORS["cases"]


def verified(case: dict[str, Any], **changes: Any) -> Any:
    given = {**case, **changes}
    return webhooks.verify(
        base64.b64decode(given["body_base64"]),
        given["headers"],
        given["secrets"],
        VECTORS["tolerance_seconds"],
        now=given["now"],
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_is_judged_as_published(case: dict[str, Any]) -> None:
    if case["result"] != "valid":
        with pytest.raises(SignatureError) as raised:
            verified(case)
        assert raised.value.code == case["result"]
    elif case["json"]:
        assert verified(case) == json.loads(base64.b64decode(case["body_base64"]))
    else:
        with pytest.raises(ValueError):
            verified(case)


def test_the_vectors_hold_what_this_suite_is_about() -> None:
    assert {case["result"] for case in CASES} == {"valid", "no_signature", "no_match", "too_old", "too_new"}
    assert len(CASES) > 50


def test_one_secret_may_be_given_as_text() -> None:
    [first, *_] = [case for case in CASES if case["result"] == "valid" and len(case["secrets"]) == 1]

    assert verified(first, secrets=first["secrets"][0])


def test_text_in_place_of_the_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes of the request as they came"):
        webhooks.verify("{}", {}, "whsec_x")  # type: ignore[arg-type]


@pytest.mark.parametrize("secrets", ["", [], ["whsec_AAAA", ""]])
def test_no_secret_is_refused(secrets: Any) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        webhooks.verify(b"{}", {}, secrets)

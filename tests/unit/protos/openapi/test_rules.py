"""The rules of protos are keywords of JSON Schema, and what has no keyword stops the generation."""

from collections.abc import Callable
from typing import Any

import pytest
from buf.validate import validate_pb2
from jsonschema import Draft202012Validator

from protos.openapi.rules import is_required, keywords
from protos.openapi.source import Field, UndescribedError
from services.media.reference_rules import MEDIA_TYPES, RULES
from services.webhooks.domain import ENDPOINT_DISABLED, JOB_EVENTS, TEST_EVENT
from tests.conformance import document_of
from tests.documented_references import TOGETHER
from tests.unit.protos.openapi.conftest import committed

INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}


def field(kind: str, *, is_repeated: bool = False, is_optional: bool = False, **rules: Any) -> Field:
    return Field("toy", kind, "", "", is_repeated, is_optional, "A toy.", validate_pb2.FieldRules(**rules))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (field("string", string={"min_len": 1, "max_len": 64}), {"minLength": 1, "maxLength": 64}),
        (field("string", string={"in": ["a", "b"]}), {"enum": ["a", "b"]}),
        (field("string", string={"pattern": "^[a-z]+$"}), {"pattern": "^[a-z]+$"}),
        (field("int32", int32={"gte": 4, "lte": 15}), {"minimum": 4, "maximum": 15}),
        (field("int32", int32={"gt": 4}), {**INT32, "exclusiveMinimum": 4}),
        (field("int32"), INT32),
        (
            field(
                "string",
                is_repeated=True,
                repeated={"max_items": 3, "unique": True, "items": {"string": {"min_len": 1}}},
            ),
            {"maxItems": 3, "uniqueItems": True, "items": {"minLength": 1}},
        ),
        (field("message", required=True), {}),
    ],
)
def test_a_rule_is_a_keyword(given: Field, expected: dict[str, Any]) -> None:
    assert keywords(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        field("string", string={"prefix": "a"}),
        field("string", string={"max_bytes": 5}),
        field("string", string={"pattern": "(?i)a"}),
        field("string", string={"pattern": r"\Aa\z"}),
        field("string", string={"pattern": "[[:alpha:]]"}),
        field("int32", int32={"gte": 15, "lte": 4}),
    ],
)
def test_a_rule_without_a_keyword_stops_the_generation(given: Field) -> None:
    with pytest.raises(UndescribedError, match="toy"):
        keywords(given)


@pytest.mark.parametrize(
    ("given", "required"),
    [
        (field("string", string={"min_len": 1}), True),
        (field("string", string={"max_len": 1}), False),
        (field("string", is_optional=True, string={"min_len": 1}), False),
        (field("message", is_optional=True, required=True), True),
        (field("message", is_optional=True), False),
        (field("string", is_repeated=True, repeated={"max_items": 1}), False),
    ],
)
def test_what_must_not_be_empty_is_required(given: Field, *, required: bool) -> None:
    assert is_required(given) is required


def accepts(name: str) -> Callable[[Any], bool]:
    validator = Draft202012Validator(committed("seedancee2")["components"]["schemas"][name])
    return lambda content: bool(validator.is_valid(content))


@pytest.mark.parametrize("what", TOGETHER)
def test_the_document_says_which_references_go_together(what: str) -> None:
    fields, is_allowed = TOGETHER[what]

    assert accepts("VideoInput")({"prompt": "waves", **fields}) is is_allowed


@pytest.mark.parametrize("media_type", [*MEDIA_TYPES, "image/heic"])
def test_the_document_takes_the_uploads_that_the_service_takes(media_type: str) -> None:
    kind = MEDIA_TYPES.get(media_type)
    most = RULES[kind].byte_count_max if kind else 1
    accepted = accepts("CreateUploadRequest")

    assert accepted({"content_type": media_type, "size_bytes": most}) is (kind is not None)
    assert not accepted({"content_type": media_type, "size_bytes": most + 1}) or kind is None


@pytest.mark.parametrize("contract", JOB_EVENTS)
def test_a_document_shows_the_events_that_are_sent(contract: str) -> None:
    assert list(document_of(contract)["webhooks"]) == [*JOB_EVENTS[contract], TEST_EVENT, ENDPOINT_DISABLED]


@pytest.mark.parametrize("contract", JOB_EVENTS)
def test_a_callback_shows_what_an_endpoint_gets_of_a_job(contract: str) -> None:
    document = document_of(contract)
    [creation] = [
        operation["post"]
        for operation in document["paths"].values()
        if "callbacks" in operation.get("post", {})
    ]

    assert list(creation["callbacks"]) == list(JOB_EVENTS[contract])
    for name, callback in creation["callbacks"].items():
        [item] = callback.values()
        body = item["post"]["requestBody"]["content"]
        assert body == document["webhooks"][name]["post"]["requestBody"]["content"]


@pytest.mark.parametrize("contract", JOB_EVENTS)
def test_every_link_leads_to_an_operation_that_takes_it(contract: str) -> None:
    operations = {
        operation["operationId"]: operation
        for item in committed(contract)["paths"].values()
        for operation in item.values()
    }
    links = [
        (name, link)
        for operation in operations.values()
        for name, link in operation["responses"]["200"].get("links", {}).items()
    ]

    assert len(links) > 4
    for name, link in links:
        named = {parameter.get("name") for parameter in operations[link["operationId"]]["parameters"]}
        assert name == link["operationId"]
        assert set(link["parameters"]) <= named

"""The OpenAPI documents show everything that customers may call, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.generate import DESCRIPTOR_SET, DOCUMENTS, ROOT
from protos.openapi.document import as_json, documents
from protos.openapi.source import UndescribedError
from services.common.errors import Reason
from services.edge.descriptor import read_descriptor
from services.jobs.rpc.access import PUBLIC_ACCESS
from tests.unit.protos.openapi.conftest import committed

CONTRACTS = ("seedancee2", "nextapi")
Operation = dict[str, Any]


def operations(contract: str) -> Iterator[tuple[str, str, Operation]]:
    for path, verbs in committed(contract)["paths"].items():
        for verb, operation in verbs.items():
            yield verb.upper(), path, operation


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_document_has_exactly_the_endpoints_that_keys_of_its_contract_reach(contract: str) -> None:
    shown = {(verb, path) for verb, path, _ in operations(contract)}

    reached = {
        (each.verb, each.template)
        for each in read_descriptor(ROOT / "gen" / DESCRIPTOR_SET).endpoints
        if contract in PUBLIC_ACCESS.get(each.method.split("/")[1], frozenset(CONTRACTS))
    }
    assert shown == reached


def test_one_act_has_one_name_in_both_documents() -> None:
    names = {contract: [each["operationId"] for *_, each in operations(contract)] for contract in CONTRACTS}

    assert all(len(set(found)) == len(found) for found in names.values())
    assert set(names["nextapi"]) < set(names["seedancee2"])
    assert {"createVideo", "getVideo", "listVideos", "cancelVideo", "deleteVideo", "streamVideoEvents"} < set(
        names["nextapi"]
    )


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("word", ["callbacks/{token}", "admin", "internal.", "HttpBody", "Reason", "grpc"])
def test_what_is_not_for_customers_does_not_appear(contract: str, word: str) -> None:
    text = (ROOT / "gen" / DOCUMENTS / f"{contract}.json").read_text(encoding="utf-8")

    assert word not in text


@pytest.mark.parametrize("contract", CONTRACTS)
def test_no_sentence_names_a_reason_that_only_grpc_shows(contract: str) -> None:
    text = (ROOT / "gen" / DOCUMENTS / f"{contract}.json").read_text(encoding="utf-8")

    assert [reason for reason in Reason if "_" in reason and reason in text] == []


def test_the_documents_are_the_same_bytes_whenever_they_are_made(encoded: bytes) -> None:
    for contract, document in documents(encoded).items():
        text = (ROOT / "gen" / DOCUMENTS / f"{contract}.json").read_text(encoding="utf-8")
        assert as_json(document) == text


def test_the_shipped_descriptor_set_is_the_one_with_comments_without_them(image: FileDescriptorSet) -> None:
    for file in image.file:
        file.ClearField("source_code_info")

    assert image == FileDescriptorSet.FromString((ROOT / "gen" / DESCRIPTOR_SET).read_bytes())


@pytest.mark.parametrize("place", ["message", "field", "method"])
def test_what_has_no_comment_stops_the_generation(image: FileDescriptorSet, place: str) -> None:
    paths = {"message": [4, 0], "field": [4, 0, 2, 0], "method": [6, 0, 2, 0]}
    file = next(each for each in image.file if each.name == "reelgate/billing/v1/billing_service.proto")
    if place == "field":
        file = next(each for each in image.file if each.name == "reelgate/billing/v1/balance.proto")
    for location in file.source_code_info.location:
        if list(location.path) == paths[place]:
            location.ClearField("leading_comments")

    with pytest.raises(UndescribedError, match="has no comment"):
        documents(image.SerializeToString())


def test_a_method_that_the_overlay_does_not_name_stops_the_generation(image: FileDescriptorSet) -> None:
    file = next(each for each in image.file if each.name == "reelgate/billing/v1/billing_service.proto")
    file.service[0].method[0].name = "GetCredits"

    with pytest.raises(UndescribedError, match=r"BillingService\.GetBalance"):
        documents(image.SerializeToString())


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_code_of_an_error_has_an_example_in_the_envelope_of_the_contract(contract: str) -> None:
    keys = {"seedancee2": {"code", "message", "type"}, "nextapi": {"code", "message"}}[contract]
    shared = committed(contract)["components"]["responses"]
    for *_, operation in operations(contract):
        for status, response in operation["responses"].items():
            found = shared[response["$ref"].rsplit("/", 1)[-1]] if "$ref" in response else response
            if status != "200":
                examples = found["content"]["application/json"]["examples"]
                assert list(examples) == found["x-error-codes"]
                for code, example in examples.items():
                    assert set(example["value"]["error"]) == keys
                    assert example["value"]["error"]["code"] == code


def test_the_reference_sends_no_filter_that_nobody_chose() -> None:
    parameters = [
        each
        for contract in CONTRACTS
        for *_, found in operations(contract)
        for each in found.get("parameters", ())
    ]
    optional = [each for each in parameters if "enum" in each.get("schema", {}) and not each.get("required")]

    assert {each["name"] for each in optional} >= {"status"}
    assert [each["name"] for each in optional if not each["examples"]["one"]["x-disabled"]] == []

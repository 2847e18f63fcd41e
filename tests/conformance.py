"""Whether what customers get is what the OpenAPI documents show, and nothing else: a key too many is a fault."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from protos.generate import DOCUMENTS, ROOT
from protos.openapi.strict import resolved, strict
from services.common.auth.key_forms import contract_of

CONTRACTS = ("seedancee2", "nextapi")
OF_ANY_REQUEST = frozenset({400, 404, 408, 413, 415, 426, 431})
"""How the edge may refuse what is no proper request for an operation, whatever its document says."""
ADDRESS = "urn:document"
LIMITS = tuple(f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset"))


@dataclass(frozen=True)
class Operation:
    """An operation of a document, and where it stands there."""

    contract: str
    pointer: str
    shown: Mapping[str, Any]


@cache
def document_of(contract: str) -> dict[str, Any]:
    """Returns the strict rendering of a committed document."""
    text = (ROOT / "gen" / DOCUMENTS / f"{contract}.json").read_text(encoding="utf-8")
    return strict(json.loads(text))


def check_answer(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes, *, key: str = ""
) -> None:
    """Raises AssertionError if an answer is not as documented. What has no documented path may only refuse."""
    path = path.partition("?")[0]
    if not path.startswith("/v1/") or method == "HEAD":
        return
    operation = operation_of(method, path, contract_of(key) or "seedancee2")
    shown = operation.shown["responses"].get(str(status)) if operation else None
    if operation is None or shown is None:
        assert status in OF_ANY_REQUEST, f"{method} {path} must not answer {status}: {body[:500]!r}"
        check_envelope(body)
        return
    _check_headers(operation.contract, shown, headers)
    _check_content(operation, shown, status, headers, body)


def check_envelope(body: bytes) -> None:
    """Raises AssertionError if a refusal is not exactly the error object of one of the contracts."""
    content = json.loads(body)
    valid = [_validator(contract, "/components/schemas/Error").is_valid(content) for contract in CONTRACTS]
    assert any(valid), f"not an error object: {body[:500]!r}"


def check_webhook(headers: Mapping[str, str], body: bytes) -> None:
    """Raises AssertionError if an event is not as documented. `headers` are by lower-case name."""
    content = json.loads(body)
    event = headers.get("x-seedancee2-event")
    contract, name = ("seedancee2", event) if event else ("nextapi", content["type"])
    item = document_of(contract)["webhooks"].get(name)
    assert item is not None, f"{contract} has no event {name}"
    for parameter in item["post"]["parameters"]:
        value = headers.get(parameter["name"].lower())
        assert value is not None or not parameter.get("required"), f"{name} came without {parameter['name']}"
        if value is not None:
            _check(Draft202012Validator(parameter["schema"]), value, f"{parameter['name']} of {name}")
    pointer = f"/webhooks/{_escaped(name)}/post/requestBody/content/application~1json/schema"
    _check(_validator(contract, pointer), content, name)


@cache
def operation_of(method: str, path: str, contract: str) -> Operation | None:
    """Returns the operation of a request: that of the contract, or the only one there is."""
    for name in sorted(CONTRACTS, key=lambda each: each != contract):
        for template, pattern in _templates(name):
            operation = document_of(name)["paths"][template].get(method.lower())
            if operation is not None and pattern.fullmatch(path):
                return Operation(name, f"/paths/{_escaped(template)}/{method.lower()}", operation)
    return None


@cache
def _templates(contract: str) -> list[tuple[str, re.Pattern[str]]]:
    paths = document_of(contract)["paths"]
    return [(path, re.compile(re.sub(r"\{\w+\}", "[^/:%]+", path))) for path in paths]


def _check_headers(contract: str, response: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    document = document_of(contract)
    found = resolved(document, response["$ref"]) if "$ref" in response else response
    for name, reference in found["headers"].items():
        header = resolved(document, reference["$ref"])
        value = headers.get(name.lower())
        assert value is not None or not header.get("required"), f"the answer came without {name}"
        if value is not None:
            typed = int(value) if header["schema"]["type"] == "integer" else value
            _check(Draft202012Validator(header["schema"]), typed, name)


def _check_content(
    operation: Operation, response: Mapping[str, Any], status: int, headers: Mapping[str, str], body: bytes
) -> None:
    what = f"{operation.shown['operationId']}, answered {status}"
    pointer = f"{operation.pointer}/responses/{status}"
    if "$ref" in response:
        pointer = response["$ref"].removeprefix("#")
        response = resolved(document_of(operation.contract), response["$ref"])
    [kind] = response["content"]
    assert headers["content-type"] == kind, f"{what}, with {headers['content-type']}"
    if kind == "application/json":
        schema = f"{pointer}/content/application~1json/schema"
        _check(_validator(operation.contract, schema), json.loads(body), what)
    if status == 200 and kind == "application/json":
        missing = [name for name in LIMITS if name not in headers]
        assert missing == [], f"{what}, without {missing}"


def _check(validator: Draft202012Validator, content: Any, what: str) -> None:
    error = best_match(validator.iter_errors(content))
    assert error is None, f"{what}: {error.json_path} {error.message}"


@cache
def _validator(contract: str, pointer: str) -> Draft202012Validator:
    resource = DRAFT202012.create_resource(document_of(contract))
    registry = Registry().with_resource(ADDRESS, resource)
    return Draft202012Validator({"$ref": f"{ADDRESS}#{pointer}"}, registry=registry)


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")

"""The strict rendering of a document: what is sent may hold nothing that the document does not show. For tests only.

The documents themselves stay open, so that a new key breaks no client.
"""

from collections.abc import Iterator
from copy import deepcopy

from protos.openapi.rules import Schema


def strict(document: Schema) -> Schema:
    """Returns the document with every answer and every webhook closed: no other keys, and no other codes of errors."""
    closed = deepcopy(document)
    for response in _responses(closed):
        _name_codes(response)
    roots = [
        content["schema"]
        for response in _responses(closed)
        for content in response.get("content", {}).values()
    ]
    roots += [
        content["schema"]
        for item in closed["webhooks"].values()
        for content in item["post"]["requestBody"]["content"].values()
    ]
    _close(closed, roots)
    return closed


def resolved(document: Schema, reference: str) -> Schema:
    """Returns what a reference of a document leads to."""
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def _responses(document: Schema) -> Iterator[Schema]:
    yield from document["components"]["responses"].values()
    for item in document["paths"].values():
        for operation in item.values():
            yield from (each for each in operation["responses"].values() if "$ref" not in each)


def _name_codes(response: Schema) -> None:
    if codes := response.get("x-error-codes"):
        content = response["content"]["application/json"]
        content["schema"] = {
            "allOf": [
                content["schema"],
                {"properties": {"error": {"properties": {"code": {"enum": codes}}}}},
            ]
        }


def _close(document: Schema, left: list[Schema]) -> None:
    seen: set[int] = set()
    while left:
        schema = left.pop()
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        if "$ref" in schema:
            left.append(resolved(document, schema["$ref"]))
        if schema.get("type") == "object" and "properties" in schema:
            schema["unevaluatedProperties"] = False
        left += schema.get("properties", {}).values()
        left += [*schema.get("oneOf", ()), *schema.get("allOf", ())]
        left += [schema[key] for key in ("items", "contentSchema") if key in schema]

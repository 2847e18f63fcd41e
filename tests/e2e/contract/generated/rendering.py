"""A document as requests are generated from it: strict, and with what a generator cannot guess written out."""

import json
from typing import Any

from protos.openapi.rules import Schema
from protos.openapi.strict import strict

ADDRESSES = ["https://files.example/a.png", "http://files.example/b.png?size=large"]
"""Of a domain that never resolves, so that nothing is sent to anybody."""
BOUNDED_WAIT_SECONDS = 1
MOMENTS = ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00.123+02:00"]
UPLOAD_BYTES_MAX = 15_000_000
"""What a file of any kind may have."""
SLOW_LINKS = ("streamVideoEvents",)
"""A stream lasts as long as its task."""


def for_generation(document: Schema) -> Schema:
    """Returns a document whose valid requests are all accepted, whatever a generator makes of them."""
    rendered: Schema = json.loads(json.dumps(strict(document)).replace("//example.com/", "//files.example/"))
    schemas = rendered["components"]["schemas"]
    for item in rendered["paths"].values():
        for operation in item.values():
            _bound(operation)
            _guess_no_further(rendered, operation)
    del rendered["components"]["parameters"]["IdempotencyKey"]
    for name in ("VideoInput", "CreateJobRequest"):
        if name in schemas:
            _of_text_alone(schemas[name])
    events = [event for event in rendered["webhooks"] if event != "webhook.test"]
    for name, schema in schemas.items():
        if name.endswith("Request") and "events" in schema["properties"]:
            schema["properties"]["events"]["items"]["enum"] = events
    del schemas["CreateUploadRequest"]["allOf"]
    schemas["CreateUploadRequest"]["properties"]["size_bytes"]["maximum"] = UPLOAD_BYTES_MAX
    return rendered


def _bound(operation: Schema) -> None:
    operation["parameters"] = [
        each
        for each in operation["parameters"]
        if not each.get("$ref", "").endswith(("IdempotencyKey", "Environment"))
    ]
    for parameter in operation["parameters"]:
        if parameter.get("name") == "wait":
            parameter["schema"]["maximum"] = BOUNDED_WAIT_SECONDS
        _name_moments(parameter.get("schema", {}))
    for name in SLOW_LINKS:
        operation["responses"]["200"].get("links", {}).pop(name, None)


def _name_moments(schema: Schema) -> None:
    if schema.get("format") == "date-time":
        schema["enum"] = MOMENTS


def _guess_no_further(document: Schema, operation: Schema) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        _close(document, body["schema"])


def _close(document: Schema, schema: Any) -> None:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    _name_moments(schema)
    if schema.get("format") == "uri":
        for key in ("format", "pattern", "minLength", "maxLength"):
            schema.pop(key, None)
        schema["enum"] = ADDRESSES
    if schema.get("additionalProperties") is True:
        schema["additionalProperties"] = {"type": "string", "maxLength": 20}
        schema["maxProperties"] = 3
    elif "properties" in schema:
        schema["additionalProperties"] = False
        for each in schema["properties"].values():
            _close(document, each)
    if "items" in schema:
        _close(document, schema["items"])


def _of_text_alone(schema: Schema) -> None:
    """Leaves out references, whose rules a generator would fulfil too rarely, and what only one model can."""
    del schema["allOf"]
    for name in [each for each in schema["properties"] if each.endswith(("_urls", "_image_url"))] + [
        "video_url"
    ]:
        del schema["properties"][name]
    schema["properties"]["generation_type"]["enum"].remove("first_and_last_frames")
    schema["properties"]["resolution"]["enum"].remove("1080p")
    # Which profiles there are depends on the installation.
    schema["properties"].pop("moderation_profile", None)

"""What is sent to receivers: the body of each event, and the headers it comes with."""

from collections.abc import Mapping
from typing import Any

from protos.openapi.rules import Schema
from protos.openapi.schemas import MOMENT, Schemas, ref


def webhook(name: str, contract: str, overlay: Mapping[str, Any], schemas: Schemas) -> Schema:
    """Returns the path item of an event."""
    event = overlay["contracts"][contract]["webhooks"][name]
    body = _body(name, event, contract, overlay, schemas)
    example = event.get("example")
    content = {"schema": body, **({"examples": {name: {"value": example}}} if example else {})}
    return {
        "post": {
            "tags": ["Webhooks"],
            "summary": event["summary"],
            "description": overlay["webhook"]["description"],
            "parameters": [_header(each, name) for each in overlay["webhook"]["headers"][contract]],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {"2XX": {"description": overlay["webhook"]["answer"]}},
        }
    }


def _header(own: Mapping[str, Any], event: str) -> Schema:
    schema = {"type": "string", **own.get("schema", {})}
    if own.get("names_event"):
        schema["const"] = event
    return {
        "name": own["name"],
        "in": "header",
        "description": own["description"],
        **({"required": True} if own.get("required") else {}),
        "schema": schema,
    }


def _body(
    name: str, event: Mapping[str, Any], contract: str, overlay: Mapping[str, Any], schemas: Schemas
) -> Schema:
    data = _data(event, contract, overlay, schemas)
    words = event["summary"]
    # Seedancee2 posts the answer to a poll; what is no video comes in the other contract's form, test events excepted.
    bare = contract == "seedancee2" and event["of"] != "endpoint"
    properties: Schema = {} if bare else _envelope(name)
    properties["data"] = data
    title = "".join(part.title() for part in name.replace(".", "_").split("_")) + "Event"
    return schemas.add(
        title,
        {"type": "object", "description": words, "required": list(properties), "properties": properties},
    )


def _envelope(name: str) -> Schema:
    return {
        "id": {
            "type": "string",
            "description": "Identifier of the event. Repeated deliveries have the same one.",
        },
        "type": {"type": "string", "const": name},
        "created_at": {**MOMENT, "description": "When it happened: RFC 3339, UTC, milliseconds."},
        "sequence": {
            "type": "integer",
            "format": "int32",
            "minimum": 1,
            "description": "Counts the events of what `data` shows, from 1 without gaps.",
        },
    }


def _data(event: Mapping[str, Any], contract: str, overlay: Mapping[str, Any], schemas: Schemas) -> Schema:
    if event["of"] != "job":
        return schemas.add(event["schema"], overlay["event_data"][event["of"]])
    message = overlay["contracts"][contract]["job"]
    schemas.answer(message)
    return ref(schemas.variant(message, event["status"]))

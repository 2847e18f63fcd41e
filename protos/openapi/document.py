"""One OpenAPI 3.1 document for each contract."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from protos.openapi.operations import Operations, paths
from protos.openapi.refusals import Refusals
from protos.openapi.rules import Schema
from protos.openapi.schemas import Schemas
from protos.openapi.source import Source, UndescribedError, read_source
from protos.openapi.webhooks import webhook

VERSION: Final = "3.1.1"
OVERLAY: Final = Path(__file__).with_name("overlay.yaml")


def documents(encoded: bytes) -> dict[str, Schema]:
    """Returns the document of each contract, from a descriptor set with comments. Raises UndescribedError."""
    overlay = yaml.safe_load(OVERLAY.read_text(encoding="utf-8"))
    source = read_source(encoded)
    _refuse_strays(source, overlay)
    return {contract: _document(source, contract, overlay) for contract in overlay["contracts"]}


def as_json(document: Schema) -> str:
    """Returns a document as it is committed: the same bytes for the same content."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def write(encoded: bytes, folder: Path) -> None:
    """Writes `<contract>.json` for each contract."""
    folder.mkdir(parents=True, exist_ok=True)
    for contract, document in documents(encoded).items():
        (folder / f"{contract}.json").write_text(as_json(document), encoding="utf-8")


def _document(source: Source, contract: str, overlay: Mapping[str, Any]) -> Schema:
    own = overlay["contracts"][contract]
    schemas = Schemas(source, overlay)
    schemas.add("Error", own["error"])
    refusals = Refusals(source, contract, overlay)
    operations = Operations(source, contract, overlay, schemas=schemas, refusals=refusals)
    methods = [method for service in own["services"] for method in source.methods[service]]
    found = paths((method, operations.of(method)) for method in methods)
    webhooks = {name: webhook(name, contract, overlay, schemas) for name in own["webhooks"]}
    tags = {operation["tags"][0] for path in found.values() for operation in path.values()}
    return {
        "openapi": VERSION,
        "info": own["info"],
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}],
        "tags": [tag for tag in overlay["tags"] if tag["name"] in tags],
        "paths": found,
        "webhooks": webhooks,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": dict(sorted(refusals.components.items())),
            "parameters": {
                name: overlay["parameters"][name]
                for name in ("IdempotencyKey", "LastEventId", *own.get("parameters", ()))
            },
            "headers": overlay["headers"],
            "securitySchemes": own["security"],
        },
    }


def _refuse_strays(source: Source, overlay: Mapping[str, Any]) -> None:
    """Refuses an overlay that speaks of what the protos do not have."""
    methods = {method.name for found in source.methods.values() for method in found}
    fields = {
        f"{message.name}.{field.name}" for message in source.messages.values() for field in message.fields
    }
    known = {
        "operations": methods,
        "fields": fields,
        "present": source.messages,
        "variants": source.messages,
        "same_as": source.messages,
        "objects": source.messages,
    }
    strays = [
        f"{part}: {name}" for part, names in known.items() for name in overlay[part] if name not in names
    ]
    if strays:
        raise UndescribedError(f"overlay.yaml speaks of what the protos do not have: {', '.join(strays)}")

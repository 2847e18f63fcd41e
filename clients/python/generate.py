"""Generates the types of the Python client from the OpenAPI documents: a module for each contract, and one for what both share."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).parent
TYPES = CLIENT / "src" / "reelgate_client" / "types"
DOCUMENTS = CLIENT.parent.parent / "gen" / "openapi"
CONTRACTS = ("seedancee2", "nextapi")
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}

Schemas = Mapping[str, dict[str, Any]]


def rendered(documents: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Returns the text of each module, by its file name."""
    schemas = {contract: dict(_wanted(document)) for contract, document in documents.items()}
    first, second = (schemas[contract] for contract in CONTRACTS)
    same = {name for name in first if second.get(name) == first[name]}
    while apart := {name for name in same if not _references(first[name]) <= same}:
        same -= apart
    shared = {name: first[name] for name in same}
    modules = {"__init__.py": '"""What requests and answers hold. Generated from the OpenAPI documents."""\n'}
    modules["account.py"] = _module("What both contracts share.", shared, imported=set())
    for contract in CONTRACTS:
        own = {name: schema for name, schema in schemas[contract].items() if name not in same}
        used = set().union(*map(_references, own.values())) & same
        modules[f"{contract}.py"] = _module(documents[contract]["info"]["title"] + ".", own, imported=used)
    return modules


def write(folder: Path = TYPES) -> None:
    """Writes the modules of the committed documents."""
    documents = {contract: json.loads((DOCUMENTS / f"{contract}.json").read_text()) for contract in CONTRACTS}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered(documents).items():
        (folder / name).write_text(text, encoding="utf-8")


def _wanted(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields what requests and answers hold, and the query of each operation; not what is only around it."""
    schemas: Schemas = document["components"]["schemas"]
    streamed = {name for name, schema in schemas.items() if "contentSchema" in str(schema)}
    for name, schema in schemas.items():
        around = name.endswith("Response") and "data" in schema["properties"]
        if not around and name not in streamed and not _references(schema) & streamed:
            yield name, schema
    events = [_reference(event) for event in document["webhooks"].values()]
    yield "WebhookEvent", {"oneOf": [{"$ref": f"#/{name}"} for name in events]}
    for operation in (each for path in document["paths"].values() for each in path.values()):
        query = [found for found in operation.get("parameters", ()) if found.get("in") == "query"]
        if query:
            name = operation["operationId"]
            yield (
                f"{name[0].upper()}{name[1:]}Query",
                {
                    "description": f"What {name} can be asked for.",
                    "properties": {
                        found["name"]: {**found["schema"], "description": found["description"]}
                        for found in query
                    },
                    "required": [found["name"] for found in query if found.get("required")],
                },
            )


def _reference(webhook: Mapping[str, Any]) -> str:
    body = webhook["post"]["requestBody"]["content"]["application/json"]["schema"]
    return str(body["$ref"]).rpartition("/")[2]


def _module(title: str, schemas: Schemas, *, imported: set[str]) -> str:
    # A class comes before what names it at run time: only unions do.
    classes = [_class(name, schema) for name, schema in sorted(schemas.items()) if "properties" in schema]
    unions = [_union(name, schema) for name, schema in sorted(schemas.items()) if "oneOf" in schema]
    assert len(classes) + len(unions) == len(schemas), "a schema is neither an object nor one of several"
    lines = [
        f'"""{title} Generated from the OpenAPI documents."""',
        "",
        "from __future__ import annotations",
        "",
    ]
    lines.append("from typing import Any, Literal, TypeAlias, TypedDict")
    if imported:
        lines += ["", f"from reelgate_client.types.account import {', '.join(sorted(imported))}"]
    return "\n".join(lines) + "\n" + "".join(f"\n\n{text}\n" for text in (*classes, *unions))


def _class(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    fields = schema["properties"]
    always = {field: fields[field] for field in fields if field in required}
    maybe = {field: fields[field] for field in fields if field not in required}
    doc = _first_sentence(schema.get("description", f"{name}."))
    if not maybe:
        return _body(f"class {name}(TypedDict):", doc, always)
    if not always:
        return _body(f"class {name}(TypedDict, total=False):", doc, maybe)
    base = _body(f"class _{name}(TypedDict):", "What is always there.", always)
    return f"{base}\n\n\n{_body(f'class {name}(_{name}, total=False):', doc, maybe)}"


def _body(head: str, doc: str, fields: Mapping[str, Any]) -> str:
    lines = [head, f'    """{doc}"""', ""]
    for field, schema in fields.items():
        lines.append(f"    {field}: {_type(schema)}")
        if "description" in schema:
            lines.append(f'    """{_first_sentence(schema["description"])}"""')
    return "\n".join(lines)


def _union(name: str, schema: Mapping[str, Any]) -> str:
    return f"{name}: TypeAlias = {' | '.join(map(_type, schema['oneOf']))}"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if schema["type"] == "array":
        return f"list[{_type(schema['items'])}]"
    if schema["type"] == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type(values) if isinstance(values, dict) else 'Any'}]"
    return SCALARS[schema["type"]]


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_references, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    here = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return here.union(*(_references(value) for key, value in schema.items() if key != "discriminator"))


def _first_sentence(text: str) -> str:
    first = (
        text.split(". ", maxsplit=1)[0].rstrip(".").replace("\\", "\\\\").replace('"', "'").replace("\n", " ")
    )
    return f"{first}."


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else TYPES)

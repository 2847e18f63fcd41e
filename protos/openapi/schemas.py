"""The schemas of messages: what a request may hold, what an answer holds, and the variants of an answer by status."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from protos.openapi.rules import Schema, is_required, keywords
from protos.openapi.source import Field, Message, Source, UndescribedError

STRUCT: Final = "google.protobuf.Struct"
MOMENT_WORDS: Final = "RFC 3339, UTC, milliseconds"
"""A field whose comment says so holds a moment in exactly that form."""
MOMENT: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
_TYPES: Final[Mapping[str, Schema]] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "double": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
}
WRAPPED: Final = "data"
"""The key that holds an answer: it is always there."""


class Schemas:
    """The components of one document. Whatever is asked for comes with everything it refers to."""

    def __init__(self, source: Source, overlay: Mapping[str, Any]) -> None:
        self._source = source
        self._overlay = overlay
        self.components: dict[str, Schema] = {}
        self._sides: dict[str, str] = {}

    def request(self, message: str, *, without: Iterable[str] = ()) -> Schema | None:
        """Returns a reference to what a request may hold. None: it holds nothing besides what its path says."""
        message = self._overlay["same_as"].get(message, message)
        found = self._source.messages[message]
        fields = [field for field in found.fields if field.name not in set(without)]
        return self._component(found, "request", fields) if fields else None

    def answer(self, message: str) -> Schema:
        """Returns a reference to what an answer holds."""
        found = self._source.messages[message]
        return self._component(found, "answer", found.fields)

    def parameter(self, message: str, field: Field) -> Schema:
        """Returns the schema of a field that stands in a path or a query."""
        return _without_words(self._field(field, "request", message))

    def add(self, name: str, schema: Schema) -> Schema:
        """Adds a component, and returns a reference to it."""
        assert self.components.setdefault(name, schema) == schema, f"{name} would be two schemas"
        return ref(name)

    def variant(self, message: str, status: str) -> str:
        """Returns the name of the component that an answer is in a status."""
        return short(message) + status.title().replace("_", "")

    def _component(self, message: Message, side: str, fields: Iterable[Field]) -> Schema:
        name = short(message.name)
        if self._sides.setdefault(name, side) != side:
            raise UndescribedError(
                f"{message.name} is part of requests and of answers: make it two messages."
            )
        if name not in self.components:
            self.components[name] = {}
            variants = self._overlay["variants"].get(message.name)
            if variants and side == "answer":
                self.components[name] = self._variants(message, variants)
            else:
                self.components[name] = self._object(message, side, fields)
        return ref(name)

    def _object(self, message: Message, side: str, fields: Iterable[Field]) -> Schema:
        fields = list(fields)
        present = self._overlay["present"].get(message.name, ())
        required = [
            field.name
            for field in fields
            if (is_required(field) if side == "request" else _is_printed(field, present))
        ]
        properties = {field.name: self._field(field, side, message.name) for field in fields}
        return {
            "type": "object",
            "description": message.comment,
            **({"required": required} if required else {}),
            "properties": properties,
            **self._overlay["objects"].get(message.name, {}),
        }

    def _variants(self, message: Message, variants: Mapping[str, Any]) -> Schema:
        by = variants["by"]
        mapping = {}
        for status, keys in variants["of"].items():
            required = [*variants["always"], *keys.get("required", ())]
            allowed = {*required, *variants.get("optional", ()), *keys.get("optional", ())}
            properties = {
                field.name: self._field(field, "answer", message.name)
                for field in message.fields
                if field.name in allowed
            }
            properties[by] = {"type": "string", "const": status}
            name = self.variant(message.name, status)
            self.components[name] = {
                "type": "object",
                "description": f"{message.comment.split('.')[0]}, when its {by} is `{status}`.",
                "required": sorted(required, key=list(properties).index),
                "properties": properties,
            }
            mapping[status] = ref(name)
        return {
            "description": message.comment,
            "oneOf": list(mapping.values()),
            "discriminator": {
                "propertyName": by,
                "mapping": {status: reference["$ref"] for status, reference in mapping.items()},
            },
        }

    def _field(self, field: Field, side: str, owner: str) -> Schema:
        rules = keywords(field) if side == "request" else {}
        items = rules.pop("items", {})
        schema = self._single(field, side)
        if field.is_repeated:
            schema = {"type": "array", "items": {**schema, **items}}
        schema = {**schema, "description": field.comment, **rules}
        return {**schema, **self._overlay["fields"].get(f"{owner}.{field.name}", {})}

    def _single(self, field: Field, side: str) -> Schema:
        if field.kind == "map":
            values = self._of_kind(field.value, field.message, side)
            return {"type": "object", "additionalProperties": values}
        if side == "answer" and MOMENT_WORDS in field.comment:
            return dict(MOMENT)
        if side == "answer" and (field.name == "url" or field.name.endswith("_url")):
            return {"type": "string", "format": "uri"}
        return self._of_kind(field.kind, field.message, side)

    def _of_kind(self, kind: str, message: str, side: str) -> Schema:
        if message == STRUCT:
            return {"type": "object", "additionalProperties": True}
        if kind == "message":
            found = self._source.messages[message]
            return self._component(found, side, found.fields)
        return dict(_TYPES[kind])


def ref(name: str) -> Schema:
    """Returns a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def short(message: str) -> str:
    """Returns what a message is called in a document."""
    return message.rsplit(".", 1)[-1]


def _is_printed(field: Field, present: Iterable[str]) -> bool:
    return not field.is_optional or field.name == WRAPPED or field.name in present


def _without_words(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}

"""What the documents are made of: public methods, messages and reasons, as a descriptor set with comments tells them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

OURS: Final = "reelgate."
PRIVATE: Final = ("reelgate.admin.", "reelgate.internal.", "reelgate.callback.")
"""What never shows in a document: it is not even read."""
REASON: Final = "reelgate.errors.v1.Reason"
VERBS: Final = frozenset({"get", "post", "patch", "delete"})
_SERVICE, _METHOD, _MESSAGE, _FIELD, _NESTED, _ENUM, _VALUE = 6, 2, 4, 2, 3, 5, 2
"""Numbers of the fields of a descriptor: the paths of comments consist of them."""
_KINDS: Final = {
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_MESSAGE: "message",
}


class UndescribedError(Exception):
    """Something public that the documents cannot show as it is. The message names it and says what to change."""


@dataclass(frozen=True)
class Field:
    """A field of a message."""

    name: str
    kind: str
    """`string`, `int32`, `double`, `bool`, `message`, or `map` of `value`."""
    message: str
    """Full name of its message, or of the values' of a map; empty if there is none."""
    value: str
    """Kind of a map's values; empty for other fields."""
    is_repeated: bool
    is_optional: bool
    """Whether the key is absent when it was not set. Other fields than messages are always printed."""
    comment: str
    rules: Any
    """Its `buf.validate.FieldRules`, or None."""


@dataclass(frozen=True)
class Message:
    """A message, by its full name."""

    name: str
    comment: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Method:
    """A method of a service, and its form in HTTP."""

    name: str
    """Full: `package.Service.Method`."""
    comment: str
    verb: str
    path: str
    has_body: bool
    request: str
    response: str
    streams: bool


@dataclass(frozen=True)
class Source:
    """Everything of a descriptor set that a document may show."""

    methods: Mapping[str, tuple[Method, ...]]
    """By full name of the service."""
    messages: Mapping[str, Message]
    reasons: Mapping[str, str]
    """The comment of each reason that a refusal can have."""


def read_source(encoded: bytes) -> Source:
    """Returns the public part of a descriptor set. Raises UndescribedError if a comment is missing, or there is none at all."""
    image = FileDescriptorSet.FromString(encoded)
    options = _Options(image)
    methods: dict[str, tuple[Method, ...]] = {}
    messages: dict[str, Message] = {}
    reasons: dict[str, str] = {}
    for file in image.file:
        if not file.package.startswith(OURS) or f"{file.package}.".startswith(PRIVATE):
            continue
        comments = _Comments(file)
        for path, name, message in _messages(file.message_type, (_MESSAGE,), file.package):
            messages[name] = _message(name, message, path, comments, options)
        for at, service in enumerate(file.service):
            found = (
                _method(
                    f"{file.package}.{service.name}",
                    method,
                    (_SERVICE, at, _METHOD, index),
                    comments,
                    options,
                )
                for index, method in enumerate(service.method)
            )
            methods[f"{file.package}.{service.name}"] = tuple(found)
        reasons |= _reasons(file, comments)
    return Source(methods, messages, reasons)


class _Options:
    """Reads options through a pool of their own, so that no generated module is needed."""

    def __init__(self, image: FileDescriptorSet) -> None:
        self._pool = DescriptorPool()
        for file in image.file:
            self._pool.Add(file)

    def of_method(self, method: MethodDescriptorProto) -> Any:
        return self._extension("google.protobuf.MethodOptions", method.options, "google.api.http")

    def of_field(self, field: FieldDescriptorProto) -> Any:
        return self._extension("google.protobuf.FieldOptions", field.options, "buf.validate.field")

    def _extension(self, kind: str, options: Any, name: str) -> Any:
        read = GetMessageClass(self._pool.FindMessageTypeByName(kind)).FromString(options.SerializeToString())
        extension: Any = self._pool.FindExtensionByName(name)
        return read.Extensions[extension] if read.HasExtension(extension) else None


class _Comments:
    """The comments of a file, as one line each."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._found = {
            tuple(at.path): " ".join(at.leading_comments.split()) for at in file.source_code_info.location
        }

    def at(self, path: tuple[int, ...], name: str) -> str:
        comment = self._found.get(path, "")
        if not comment:
            raise UndescribedError(f"{name} has no comment: customers read it, so write one above it.")
        return comment


def _messages(
    found: Iterable[DescriptorProto], at: tuple[int, ...], package: str
) -> Iterator[tuple[tuple[int, ...], str, DescriptorProto]]:
    for index, message in enumerate(found):
        if not message.options.map_entry:
            path, name = (*at, index), f"{package}.{message.name}"
            yield path, name, message
            yield from _messages(message.nested_type, (*path, _NESTED), name)


def _message(
    name: str, message: DescriptorProto, path: tuple[int, ...], comments: _Comments, options: _Options
) -> Message:
    entries = {f".{name}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry}
    fields = (
        _field(
            field,
            entries,
            comments.at((*path, _FIELD, index), f"{name}.{field.name}"),
            options.of_field(field),
        )
        for index, field in enumerate(message.field)
    )
    return Message(name, comments.at(path, name), tuple(fields))


def _field(
    field: FieldDescriptorProto, entries: Mapping[str, DescriptorProto], comment: str, rules: Any
) -> Field:
    entry = entries.get(field.type_name)
    described = entry.field[1] if entry else field
    if described.type not in _KINDS:
        raise UndescribedError(f"{field.name} is of a type that has no place in JSON here: {described.type}.")
    kind, message = _KINDS[described.type], described.type_name.removeprefix(".")
    is_repeated = field.label == FieldDescriptorProto.LABEL_REPEATED and entry is None
    is_optional = field.proto3_optional or (kind == "message" and not is_repeated and entry is None)
    return Field(
        field.name,
        "map" if entry else kind,
        message,
        kind if entry else "",
        is_repeated,
        is_optional,
        comment,
        rules,
    )


def _method(
    service: str,
    method: MethodDescriptorProto,
    path: tuple[int, ...],
    comments: _Comments,
    options: _Options,
) -> Method:
    name = f"{service}.{method.name}"
    rule = options.of_method(method)
    verb = rule.WhichOneof("pattern") if rule is not None else None
    if verb not in VERBS or rule.additional_bindings or rule.body not in {"", "*"}:
        raise UndescribedError(
            f"{name} needs exactly one google.api.http of {', '.join(sorted(VERBS))}, with body `*` or none."
        )
    return Method(
        name,
        comments.at(path, name),
        verb,
        getattr(rule, verb),
        rule.body == "*",
        method.input_type.removeprefix("."),
        method.output_type.removeprefix("."),
        method.server_streaming,
    )


def _reasons(file: FileDescriptorProto, comments: _Comments) -> dict[str, str]:
    return {
        value.name.removeprefix("REASON_"): comments.at((_ENUM, at, _VALUE, index), value.name)
        for at, enum in enumerate(file.enum_type)
        for index, value in enumerate(enum.value)
        if f"{file.package}.{enum.name}" == REASON and value.number
    }


def names_in_path(path: str) -> list[str]:
    """Returns the variables of a path template."""
    return re.findall(r"\{(\w+)\}", path)

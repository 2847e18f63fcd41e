"""Nothing that was sent is dropped or guessed: what the edge could not take from a JSON body as it stands is refused.

The edge reads a body once and says in a header what is wrong with it; it sends an empty body on. A caller that
bypasses the edge can send unknown fields instead. Both are refused in the same words.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, cast

from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc.aio import ServicerContext

from services.common.errors import Reason, ServiceError
from services.common.rpc.interceptors import Handler, Middleware, metadata_of
from services.common.rpc.near_names import OURS, Known, is_wrapper, known_fields, near
from services.common.rpc.object_limits import OBJECT_LEVELS_MAX

HEADER = "x-reelgate-body-fault"
HEADER_LENGTH_MAX = 4096
MESSAGE_LEVELS_MAX = 64
ADVICE = "Send JSON, uncompressed, in UTF-8, with Content-Type: application/json."
SEEN_AS = {
    "form": "is a form",
    "multipart": "is a form in parts",
    "grpc": "is a gRPC message",
    "text": "is plain text",
    "xml": "is XML",
    "utf-16": "is in UTF-16",
    "utf-32": "is in UTF-32",
}
"""What a body is that is not JSON, unless it is compressed."""
COMPRESSIONS = frozenset({"gzip", "deflate", "zstd", "br", "compress"})
_FREE = (Struct.DESCRIPTOR, Value.DESCRIPTOR, ListValue.DESCRIPTOR)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a body, in the words of the edge. What a rule has no use for is empty."""

    rule: str
    message: str = ""
    """Full name of the message that the fault is in."""
    field: str = ""
    """Path from the body."""
    name: str = ""
    """Of a field that is not known or repeated, as sent."""
    wanted: str = ""
    came: str = ""


@dataclass(frozen=True)
class _Call:
    """A method that was called, and the requests of those beside it."""

    method: MethodDescriptor
    siblings: tuple[Descriptor, ...]

    def in_path(self) -> frozenset[str]:
        """Returns which fields stand in the address over HTTP."""
        rule = self.method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        return frozenset(re.findall(r"\{(\w+)", getattr(rule, verb))) if verb else frozenset()


def exact(access: Mapping[str, object]) -> Middleware:
    """Returns the middleware that refuses a body which says more than is read, or something else.

    `access` names the services of the port: their requests tell what may have been meant. Stands after the middleware
    that tells who calls, and before all that looks a request up or stores it. Refuses with INVALID_FIELD, and with
    BODY_NOT_JSON what is no JSON at all.
    """

    def middleware(method: str, inside: Handler) -> Handler:
        async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
            header = metadata_of(context).get(HEADER)
            if header is not None:
                raise refusal(_parsed(header), _called(method, tuple(access)))
            _refuse_unknown(request, "", lambda: _called(method, tuple(access)))
            return await inside(request, context)

        return call

    return middleware


@cache
def _called(method: str, services: tuple[str, ...]) -> _Call:
    pool = descriptor_pool.Default()
    _, service, name = method.split("/")
    siblings = [
        sibling.input_type
        for each in services
        if each.startswith(OURS)
        for sibling in pool.FindServiceByName(each).methods
    ]
    return _Call(pool.FindServiceByName(service).methods_by_name[name], tuple(siblings))


def _parsed(header: str) -> Fault:
    try:
        said = json.loads(header) if len(header) <= HEADER_LENGTH_MAX else None
        if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
            raise ValueError(header)
        if said.get("rule") not in _RULES:
            raise ValueError(header)
        names = [field.name for field in fields(Fault)]
        # Half a character that was cut off cannot be shown.
        texts = {name: said[name].encode("utf-8", "replace").decode() for name in names if name in said}
    except (ValueError, RecursionError):
        message = f"Header {HEADER} is not for callers: leave it out."
        raise ServiceError(Reason.INVALID_FIELD, message, field=HEADER) from None
    return Fault(**texts)


def refusal(fault: Fault, call: _Call) -> ServiceError:
    """Returns what a body is refused with."""
    if fault.rule == "not_json":
        is_compressed = fault.came in COMPRESSIONS
        seen = (
            f"is compressed ({fault.came})"
            if is_compressed
            else SEEN_AS.get(fault.came.lower(), "is not JSON")
        )
        return ServiceError(Reason.BODY_NOT_JSON, f"The request body {seen}. {ADVICE}")
    return _refused(_RULES[fault.rule](fault, call), fault.field)


def _refused(message: str, field: str) -> ServiceError:
    return ServiceError(Reason.INVALID_FIELD, message, **({"field": field} if field else {}))


def _named(field: str) -> str:
    """A path as it is shown: quoted where it would not be seen to end."""
    return field if re.fullmatch(r"[\w.\[\]…-]+", field) else json.dumps(field, ensure_ascii=False)


def _malformed(fault: Fault, _call: _Call) -> str:
    place = f" at {fault.came}" if fault.came else ""
    return f"The request body is not valid JSON{place}{': ' + fault.wanted if fault.wanted else ''}."


def _not_an_object(fault: Fault, _call: _Call) -> str:
    return f"The request body must be a JSON object.{_came(fault)}"


def _repeated(fault: Fault, _call: _Call) -> str:
    return f"Field {_named(fault.field)} is given more than once. Send it once."


def _null_item(fault: Fault, _call: _Call) -> str:
    return f"Field {_named(fault.field)} must not be null. Leave the item out."


def _wrong_type(fault: Fault, _call: _Call) -> str:
    return f"Field {_named(fault.field)} must be {fault.wanted or 'of another type'}.{_came(fault)}"


def _out_of_range(fault: Fault, call: _Call) -> str:
    rule = f"must be {fault.wanted}" if fault.wanted else "is out of range"
    for known in known_fields(call.method.input_type):
        if known.path == fault.field:
            allowed = known.field.GetOptions().Extensions[validate_pb2.field].int32
            lowest = allowed.gte if allowed.HasField("gte") else -(2**31)
            highest = allowed.lte if allowed.HasField("lte") else 2**31 - 1
            rule = f"must be a whole number from {lowest} to {highest}"
    return f"Field {_named(fault.field)} {rule}.{_came(fault)}"


def _inexact(fault: Fault, _call: _Call) -> str:
    return (
        f"Field {_named(fault.field)} is a number that would not come back with the same digits."
        f"{_came(fault)} Write it as text."
    )


def _too_deep(fault: Fault, call: _Call) -> str:
    for known in known_fields(call.method.input_type):
        if known.field.message_type in _FREE and f"{fault.field}.".startswith(
            (f"{known.path}.", f"{known.path}[")
        ):
            return f"Field {known.path} must be at most {OBJECT_LEVELS_MAX} levels deep."
    where = f"Field {_named(fault.field)}" if fault.field else "The request body"
    return f"{where} is nested too deeply: at most {MESSAGE_LEVELS_MAX} levels are read."


def _came(fault: Fault) -> str:
    return f" It was {fault.came}." if fault.came else ""


def _unknown(fault: Fault, call: _Call) -> str:
    parent = next(
        (known.path for known in known_fields(call.method.input_type) if _is(known.field, fault.message)), ""
    )
    return unknown_field(_named(fault.field or fault.name), parent=parent, call=call, name=fault.name)


def _is(field: FieldDescriptor, message: str) -> bool:
    return field.message_type is not None and field.message_type.full_name == message


_RULES: dict[str, Callable[[Fault, _Call], str]] = {
    "not_json": _malformed,
    "malformed": _malformed,
    "not_an_object": _not_an_object,
    "unknown_field": _unknown,
    "repeated_field": _repeated,
    "null_item": _null_item,
    "wrong_type": _wrong_type,
    "out_of_range": _out_of_range,
    "inexact_number": _inexact,
    "too_deep": _too_deep,
}


def unknown_field(shown: str, *, parent: str, call: _Call, name: str = "") -> str:
    """Returns the sentence about a field that the object at `parent` does not have: what was meant, or what it has.

    `shown` is what it is called; over gRPC, where fields have numbers, it has no `name`.
    """
    in_path = call.in_path()
    if name in in_path and not parent:
        return f"Field {shown} stands in the path of the request. Leave it out of the body."
    known = [each for each in known_fields(call.method.input_type) if each.path not in in_path]
    meant = near(name, parent, known, call.siblings) if name else []
    if meant:
        return f"Field {shown} is not known. Did you mean {' or '.join(meant)}?"
    if name and is_wrapper(name, known, call.siblings):
        return f"Field {shown} is not known. Send what is in it without an object around it."
    return f"Field {shown} is not known. Remove it. {_listed(known, parent)}"


def _listed(known: Iterable[Known], parent: str) -> str:
    names = ", ".join(each.field.name for each in known if each.parent == parent)
    where = f"Fields of {parent}" if parent else "Fields of this request"
    return f"{where}: {names or 'none'}."


def _refuse_unknown(message: Message, path: str, called: Callable[[], _Call]) -> None:
    for unknown in cast("Iterable[Any]", UnknownFieldSet(message)):
        shown = f"number {unknown.field_number} of {path or 'the request'}"
        raise _refused(unknown_field(shown, parent=_plain(path), call=called()), shown)
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.full_name.startswith(OURS):
            name = f"{path}.{field.name}" if path else field.name
            if not field.is_repeated:
                _refuse_unknown(value, name, called)
                continue
            for index, each in enumerate(value):
                _refuse_unknown(each, f"{name}[{index}]", called)


def _plain(path: str) -> str:
    return re.sub(r"\[\d+\]", "", path)

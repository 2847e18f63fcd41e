"""Bodies are read against the contract before they become gRPC: the filter that runs the Lua in `lua/`, and its table."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet

from services.common.rpc.object_limits import OBJECT_LEVELS_MAX
from services.edge.descriptor import Descriptor, Endpoint
from services.edge.extension import Config, named, switched, typed
from services.edge.floods import whole_body

STRICT: Final = "strict"
FAULT: Final = "x-reelgate-body-fault"
"""What the service is told of a body. Only the edge may say it."""
CONTENT_TYPE: Final = "x-reelgate-content-type"
"""What the customer calls the body. The transcoder is told that everything is JSON."""
SOURCES: Final = tuple(
    Path(__file__).parent / "lua" / f"{name}.lua" for name in ("fault", "tokens", "shape", "body")
)
"""Each needs those before it."""
KINDS: Final = {
    (FieldDescriptorProto.TYPE_BOOL, False): "boolean",
    (FieldDescriptorProto.TYPE_INT32, False): "whole",
    (FieldDescriptorProto.TYPE_STRING, False): "text",
    (FieldDescriptorProto.TYPE_STRING, True): "texts",
}
"""What lua/shape.lua can read, by type and whether it is a list."""
FREE_JSON: Final = ".google.protobuf.Struct"


def strict_filters(descriptor: Descriptor) -> list[Config]:
    """Returns the filters, which run only where a route switches them on."""
    lua = named(
        STRICT,
        "extensions.filters.http.lua.v3.Lua",
        default_source_code={"inline_string": source(descriptor)},
    )
    # Lua alone buffers no more than a connection does.
    return [{**each, "disabled": True} for each in (whole_body(), lua)]


def switched_on(endpoint: Endpoint) -> Config:
    """Returns what a route says to the filters: the message that the body becomes."""
    message = typed(
        "extensions.filters.http.lua.v3.LuaPerRoute", filter_context={"message": endpoint.request}
    )
    return {
        whole_body()["name"]: switched(on=True),
        STRICT: typed("config.route.v3.FilterConfig", config=message),
    }


def source(descriptor: Descriptor) -> str:
    """Returns what Envoy runs: a table of what the messages hold, and the files."""
    shapes = read_shapes(descriptor)
    table = "".join(f'  ["{name}"] = {_fields(shapes[name])},\n' for name in sorted(shapes))
    files = "".join(file.read_text(encoding="utf-8") for file in SOURCES)
    return f"local LEVELS_MAX = {OBJECT_LEVELS_MAX}\nlocal MESSAGES = {{\n{table}}}\n{files}"


def read_shapes(descriptor: Descriptor) -> Mapping[str, Mapping[str, str]]:
    """Returns the kind of each field that a body may hold, by message and name. What the path says is no such field."""
    messages = {
        f".{file.package}.{message.name}": message
        for file in FileDescriptorSet.FromString(descriptor.encoded).file
        for message in file.message_type
    }
    shapes: dict[str, dict[str, str]] = {}

    def add(name: str, without: list[str]) -> None:
        if name not in shapes:
            fields = [field for field in messages[f".{name}"].field if field.name not in without]
            shapes[name] = {field.name: _kind(field) for field in fields}
            for inner in set(shapes[name].values()).intersection(each[1:] for each in messages):
                add(inner, [])

    for endpoint in descriptor.endpoints:
        if endpoint.has_json_body:
            add(endpoint.request, re.findall(r"\{(\w+)\}", endpoint.template))
    return shapes


def _kind(field: FieldDescriptorProto) -> str:
    is_list = field.label == FieldDescriptorProto.LABEL_REPEATED
    if field.type == FieldDescriptorProto.TYPE_MESSAGE and not is_list:
        return "object" if field.type_name == FREE_JSON else field.type_name[1:]
    return KINDS[field.type, is_list]


def _fields(fields: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f'["{name}"] = "{fields[name]}"' for name in sorted(fields)) + " }"

"""The descriptor set that the edge is built from: the services it may show, as HTTP."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

SERVICES: Final = {
    "billing": ("reelgate.billing.v1.BillingService",),
    "jobs": (
        "reelgate.callback.v1.CallbackService",
        "reelgate.models.v1.ModelsService",
        "reelgate.nextapi.v1.JobService",
        "reelgate.uploads.v1.UploadService",
        "reelgate.usage.v1.UsageService",
        "reelgate.video.v1.VideoService",
    ),
    "webhooks": (
        "reelgate.webhooks.v1.WebhookListenersService",
        "reelgate.webhooks.v1.WebhooksService",
    ),
}
"""Full names of the services that customers and providers reach, by the cluster that serves them."""
PRIVATE_PACKAGES: Final = ("reelgate.admin.", "reelgate.internal.")
VERBS: Final = frozenset({"get", "post", "patch", "delete"})
ERROR_FILES: Final = ("google/rpc/error_details.proto", "google/rpc/status.proto")
"""Without the types of error details Envoy cannot turn a refused call into JSON."""
RULES_FILE: Final = "buf/validate/validate.proto"
"""Only services check its rules; without it the descriptor set is a third of the size."""


@dataclass(frozen=True)
class Endpoint:
    """One method as HTTP: a verb, a path template, and the query parameters that its request has room for."""

    cluster: str
    method: str
    """As gRPC's path: `/package.Service/Method`."""
    verb: str
    template: str
    query_names: tuple[str, ...]
    request: str
    """Full name of its message."""
    has_json_body: bool
    """Whether a body is read as that message."""
    streams: bool = False
    """Whether the answer comes bit by bit."""
    creates: bool = False
    """Whether each call makes something new: a POST that cannot simply be repeated."""


@dataclass(frozen=True)
class Descriptor:
    """The public part of a descriptor set."""

    encoded: bytes
    endpoints: tuple[Endpoint, ...]


def read_descriptor(path: Path) -> Descriptor:
    """Returns what SERVICES offer over HTTP, and a descriptor set of that and no more."""
    files = {file.name: file for file in FileDescriptorSet.FromString(path.read_bytes()).file}
    requests = {
        f".{file.package}.{message.name}": message for file in files.values() for message in file.message_type
    }
    found = {
        f"{file.package}.{service.name}": (file.name, service.method)
        for file in files.values()
        for service in file.service
    }
    names = service_names()
    endpoints = tuple(
        _endpoint(names[name], name, method, requests[method.input_type])
        for name in names
        for method in found[name][1]
    )
    return Descriptor(_descriptor(files, [*ERROR_FILES, *(found[name][0] for name in names)]), endpoints)


def service_names() -> Mapping[str, str]:
    """Returns the cluster of every public service, by full name."""
    names = {name: cluster for cluster, names in SERVICES.items() for name in names}
    assert not any(name.startswith(PRIVATE_PACKAGES) for name in names), "a private service would be public"
    return names


def _endpoint(
    cluster: str, service: str, method: MethodDescriptorProto, request: DescriptorProto
) -> Endpoint:
    rule = method.options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    assert verb in VERBS, f"{method.name} has no HTTP form that the edge knows"
    assert not rule.additional_bindings, f"{method.name} has several HTTP forms"
    template = getattr(rule, verb)
    in_path = re.findall(r"\{(\w+)\}", template)
    in_query = () if rule.body else sorted({field.name for field in request.field}.difference(in_path))
    path = f"/{service}/{method.name}"
    has_json_body = verb != "get" and rule.body in {"", "*"}
    request_name = method.input_type.removeprefix(".")
    return Endpoint(
        cluster,
        path,
        verb.upper(),
        template,
        tuple(in_query),
        request_name,
        has_json_body,
        method.server_streaming,
        creates=verb == "post" and method.options.idempotency_level == MethodOptions.IDEMPOTENCY_UNKNOWN,
    )


def _descriptor(files: Mapping[str, FileDescriptorProto], roots: Iterable[str]) -> bytes:
    kept: dict[str, FileDescriptorProto] = {}

    def keep(name: str) -> None:
        if name in kept:
            return
        file = _without_rules(files[name])
        for imported in file.dependency:
            keep(imported)
        kept[name] = file

    for root in sorted(roots):
        keep(root)
    return FileDescriptorSet(file=kept.values()).SerializeToString(deterministic=True)


def _without_rules(file: FileDescriptorProto) -> FileDescriptorProto:
    plain = FileDescriptorProto()
    plain.CopyFrom(file)
    if RULES_FILE in file.dependency:
        assert not file.public_dependency, "it counts positions, which change"
        plain.dependency.remove(RULES_FILE)
    return plain

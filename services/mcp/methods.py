"""The public methods that tools call, each as gRPC and as HTTP, as the protos say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from reelgate.billing.v1 import billing_service_pb2
from reelgate.models.v1 import models_service_pb2
from reelgate.nextapi.v1 import job_service_pb2
from reelgate.usage.v1 import usage_service_pb2
from reelgate.video.v1 import video_service_pb2


@dataclass(frozen=True)
class Method:
    """One public method."""

    service: str
    name: str
    request: type[Message]
    response: type[Message]
    verb: str
    template: str
    """Path over HTTP, with `{id}` where it names one thing."""

    @property
    def path(self) -> str:
        """Path over gRPC."""
        return f"/{self.service}/{self.name}"


def as_json(message: Message) -> dict[str, Any]:
    """Returns a message as the edge writes it: what may be absent is absent, and what is always there stands even at zero."""
    shown: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return shown


def as_message(method: Method, fields: Mapping[str, Any]) -> Message:
    """Returns the request that has these fields. Raises json_format.ParseError."""
    return json_format.ParseDict(dict(fields), method.request())


def _methods(file: FileDescriptor) -> dict[str, Method]:
    return {
        method.name: Method(
            service=service.full_name,
            name=method.name,
            request=message_factory.GetMessageClass(method.input_type),
            response=message_factory.GetMessageClass(method.output_type),
            verb=verb,
            template=getattr(rule, verb),
        )
        for service in file.services_by_name.values()
        for method in service.methods
        for rule in (method.GetOptions().Extensions[annotations_pb2.http],)
        for verb in (rule.WhichOneof("pattern"),)
    }


VIDEOS: Final = _methods(video_service_pb2.DESCRIPTOR)
"""Methods for keys of Seedancee2, by name."""
JOBS: Final = _methods(job_service_pb2.DESCRIPTOR)
"""Methods for keys of NextAPI, by name."""
GET_BALANCE: Final = _methods(billing_service_pb2.DESCRIPTOR)["GetBalance"]
LIST_MODELS: Final = _methods(models_service_pb2.DESCRIPTOR)["ListModels"]
GET_MODEL: Final = _methods(models_service_pb2.DESCRIPTOR)["GetModel"]
GET_USAGE: Final = _methods(usage_service_pb2.DESCRIPTOR)["GetUsage"]

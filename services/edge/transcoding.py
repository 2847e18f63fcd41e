import base64
from typing import Final

from services.edge.descriptor import service_names
from services.edge.extension import Config, named

TRANSCODER: Final = "envoy.filters.http.grpc_json_transcoder"
BODY_BYTES_MAX: Final = 256 * 1024
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024


def transcoder(descriptor: bytes) -> Config:
    """Returns the filter that turns JSON into gRPC and back. The descriptor set stands in it as bytes: they change as one."""
    return named(
        TRANSCODER,
        "extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor_bin=base64.b64encode(descriptor).decode(),
        services=sorted(service_names()),
        match_incoming_request_route=True,
        convert_grpc_status=True,
        query_param_unescape_plus=True,
        max_request_body_size=BODY_BYTES_MAX,
        max_response_body_size=ANSWER_BYTES_MAX,
        print_options={
            # Prints empty lists and zeros; what may be absent is `optional` and stays absent.
            "always_print_primitive_fields": True,
            "preserve_proto_field_names": True,
        },
        request_validation_options={
            "reject_binding_body_field_collisions": True,
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
        },
    )

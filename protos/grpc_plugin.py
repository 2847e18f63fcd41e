"""A protoc plugin that writes grpc's Python: grpcio-tools ships its generator only inside its own protoc."""

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
response = CodeGeneratorResponse(
    supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    | CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS,
    minimum_edition=998,
    maximum_edition=1001,
)
with tempfile.TemporaryDirectory() as folder:
    image = Path(folder) / "image.binpb"
    image.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
    out = Path(folder) / "out"
    out.mkdir()
    if protoc.main(
        ["protoc", f"--descriptor_set_in={image}", f"--grpc_python_out={out}", *request.file_to_generate]
    ):
        sys.exit("grpc_python failed")
    for path in sorted(out.rglob("*.py")):
        response.file.add(name=str(path.relative_to(out)), content=path.read_text(encoding="utf-8"))
sys.stdout.buffer.write(response.SerializeToString())

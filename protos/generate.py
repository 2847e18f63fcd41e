"""Generates everything under gen/ from protos/: Python, typed stubs, OpenAPI and the descriptor set that Envoy loads.

The protos of others are taken from installed packages: google/* from googleapis-common-protos and grpcio-tools,
buf/validate from the descriptor inside protovalidate, which ships no .proto file.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import google.rpc
import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

from protos.openapi.document import write as write_documents
from protos.public import public_image

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "protos"
OURS = ("buf", "reelgate")
DESCRIPTOR_SET = Path("reelgate/descriptors.binpb")
"""Among the generated Python, so that it is found wherever that is installed."""
PUBLIC_IMAGE = Path("reelgate.binpb")
"""Outside the generated Python: services do not need it."""
DOCUMENTS = Path("openapi")
"""What customers read of the same protos, by contract."""
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
GOOGLEAPIS = Path(google.rpc.__path__[0]).parent.parent


def sources() -> list[str]:
    """Returns our proto files, relative to protos/, in a fixed order."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def build_image(target: Path, *, source_info: bool) -> None:
    """Writes the descriptors of our protos and all they import. Comments are kept when `source_info`."""
    with tempfile.TemporaryDirectory() as folder:
        validate = Path(folder) / "validate.binpb"
        validate.write_bytes(_validate_descriptors().SerializeToString())
        others = Path(folder) / "others.binpb"
        _protoc(
            f"-I{WELL_KNOWN}",
            f"-I{GOOGLEAPIS}",
            "--include_imports",
            f"--descriptor_set_out={others}",
            "google/api/annotations.proto",
            "google/api/httpbody.proto",
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
            "google/protobuf/field_mask.proto",
            "google/protobuf/struct.proto",
            "google/protobuf/timestamp.proto",
        )
        merged = Path(folder) / "merged.binpb"
        merged.write_bytes(_merge(others, validate).SerializeToString())
        _protoc(
            f"--descriptor_set_in={merged}",
            f"-I{PROTOS}",
            "--include_imports",
            *(["--include_source_info"] if source_info else []),
            f"--descriptor_set_out={target}",
            *sources(),
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
        )


def generate(gen: Path) -> None:
    """Fills `gen` anew, by the plugins that buf.gen.yaml names."""
    shutil.rmtree(gen, ignore_errors=True)
    image = gen / DESCRIPTOR_SET
    image.parent.mkdir(parents=True)
    build_image(image, source_info=False)
    tools = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    paths = [argument for name in OURS for argument in ("--path", name)]
    subprocess.run(["buf", "generate", image, "--output", gen, *paths], cwd=ROOT, env=tools, check=True)  # noqa: S607
    # Only these have the comments: what is shipped has none.
    with tempfile.TemporaryDirectory() as folder:
        commented = Path(folder) / "commented.binpb"
        build_image(commented, source_info=True)
        write_documents(commented.read_bytes(), gen / DOCUMENTS)
        (gen / PUBLIC_IMAGE).write_bytes(public_image(commented.read_bytes()))


def _validate_descriptors() -> FileDescriptorSet:
    found = FileDescriptorSet()
    found.file.append(FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary()))
    return found


def _merge(*files: Path) -> FileDescriptorSet:
    merged = FileDescriptorSet()
    seen: set[str] = set()
    for path in files:
        for file in FileDescriptorSet.FromString(path.read_bytes()).file:
            if file.name not in seen:
                seen.add(file.name)
                merged.file.append(file)
    return merged


def _protoc(*arguments: str) -> None:
    code = protoc.main(["protoc", *arguments])
    if code != 0:
        sys.exit(code)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--image"]:
        build_image(Path(sys.argv[2]), source_info=True)
    else:
        generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gen")

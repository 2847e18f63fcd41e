"""The conventions of our protos: each departure is found, and the ways to keep them are let pass."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.conventions import departures

HEAD = 'syntax = "proto3";\npackage reelgate.admin.v1;\n'
METHOD = "service ToyService {\n  // Makes a toy.%s\n  rpc MakeToy(Toy) returns (Toy)%s\n}\n// A toy.\nmessage Toy {}\n"
REASON = "// Reasons.\nenum Reason {\n  // Never sent.\n  REASON_UNSPECIFIED = 0;\n  // %s\n  REASON_BROKEN = 1;\n}\n"
FIELD = "// A toy.\nmessage Toy {\n  // %s\n  int64 %s = 1;\n}\n"


def departures_of(tmp_path: Path, source: str) -> list[str]:
    (tmp_path / "toy.proto").write_text(HEAD + source)
    image = tmp_path / "toy.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path}", "--include_source_info"]
    subprocess.run([*command, f"--descriptor_set_out={image}", "toy.proto"], check=True)
    return [line.split(":")[0] for line in departures(FileDescriptorSet.FromString(image.read_bytes()))]


@pytest.mark.parametrize(
    "source",
    [
        METHOD % ("", " { option idempotency_level = IDEMPOTENT; }"),
        METHOD % (" Repeating it makes another one.", ";"),
        REASON % 'It is broken: "The toy is broken."',
        FIELD % ("What it costs, in micro-credits.", "price_micros"),
        FIELD % ("When it was made.", "made_at_us"),
    ],
)
def test_what_keeps_the_conventions_passes(tmp_path: Path, source: str) -> None:
    assert departures_of(tmp_path, source) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (METHOD % ("", ";"), "reelgate.admin.v1.ToyService.MakeToy"),
        (REASON % "It is broken.", "reelgate.admin.v1.REASON_BROKEN"),
        (FIELD % ("When it was made.", "made_at_micros"), "reelgate.admin.v1.Toy.made_at_micros"),
    ],
)
def test_what_departs_is_named(tmp_path: Path, source: str, name: str) -> None:
    assert departures_of(tmp_path, source) == [name]


LIST = (
    "service ToyService {\n  // Lists.\n  rpc ListToys(ListToysRequest) returns (ListToysResponse)"
    " { option idempotency_level = NO_SIDE_EFFECTS; }\n}\n"
    "// Which.\nmessage ListToysRequest {%s}\n// Toys.\nmessage ListToysResponse {%s}\n"
)
WHERE = "int32 page_size = 1; string page_token = 2;"
SERVICE = "reelgate.admin.v1.ToyService.ListToys"


@pytest.mark.parametrize(
    ("request_fields", "response_fields", "names"),
    [
        (WHERE, "string next_page_token = 1;", []),
        ("", "", []),
        (WHERE, "", [SERVICE]),
        ("string color = 1;", "string next_page_token = 1;", [SERVICE, SERVICE]),
        (
            f"{WHERE} int32 limit = 3;",
            "string next_page_token = 1;",
            ["reelgate.admin.v1.ListToysRequest.limit"],
        ),
    ],
)
def test_lists_page_in_one_way(
    tmp_path: Path, request_fields: str, response_fields: str, names: list[str]
) -> None:
    assert departures_of(tmp_path, LIST % (request_fields, response_fields)) == names

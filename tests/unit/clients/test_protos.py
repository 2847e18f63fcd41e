"""What another repository takes of our protos: a wheel with the public packages, and an image for buf and protoc."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.public import PACKAGES

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "clients" / "protos"
IMAGE = ROOT / "gen" / "reelgate.binpb"
BIN = Path(sys.executable).parent
TOOLS = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
IMPORT_ALL = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
for path in sorted(root.glob("reelgate/**/*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    module = importlib.import_module(name)
    assert module.__file__ == str(path), (module.__file__, path)
"""


def run(*words: Any, cwd: Path) -> str:
    done = subprocess.run([*map(str, words)], cwd=cwd, env=TOOLS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    run(BIN / "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=PROJECT)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_public_packages_and_no_other(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]

    packages = {".".join(Path(name).parts[:3]) for name in names if name.endswith("_pb2.py")}
    assert packages == {*PACKAGES, "buf.validate.validate_pb2.py"}
    assert {Path(name).suffix for name in names} == {".py", ".pyi", ".binpb", ".typed"}
    assert not [name for name in names if re.search("admin|internal|callback|descriptors", name)]


def test_installed_alone_everything_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    run(BIN / "uv", "pip", "install", "--offline", "--no-deps", "--target", target, wheel, cwd=tmp_path)

    script = f"import sys; sys.path.insert(0, {str(target)!r})\n{IMPORT_ALL}"
    run(sys.executable, "-P", "-c", script, target, cwd=tmp_path)


def test_it_requires_what_its_code_was_generated_with() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    generated = ROOT / "gen" / "reelgate" / "video" / "v1"
    protobuf = re.search(r"Protobuf Python Version: (\S+)", (generated / "video_pb2.py").read_text())
    grpc = re.search(
        r"GRPC_GENERATED_VERSION = '(\S+)'", (generated / "video_service_pb2_grpc.py").read_text()
    )
    assert protobuf
    assert grpc

    assert f"protobuf>={protobuf[1]}" in project["dependencies"]
    assert f"grpcio>={grpc[1]}" in project["dependencies"]
    assert project["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_image_is_whole_and_public() -> None:
    files = FileDescriptorSet.FromString(IMAGE.read_bytes()).file

    assert {file.package for file in files if file.package.startswith("reelgate.")} == set(PACKAGES)
    assert {name for file in files for name in file.dependency} <= {file.name for file in files}
    assert all(file.source_code_info.location for file in files if file.package.startswith("reelgate."))
    run(BIN / "buf", "build", IMAGE, "-o", os.devnull, cwd=ROOT)


def test_another_repository_generates_from_the_image_with_buf(tmp_path: Path) -> None:
    (tmp_path / "reelgate.binpb").symlink_to(IMAGE)
    (tmp_path / "buf.gen.yaml").write_text(
        "version: v2\n"
        "plugins:\n"
        "  - protoc_builtin: python\n"
        "    protoc_path: [python, -m, grpc_tools.protoc]\n"
        "    out: gen\n"
    )

    run(BIN / "buf", "generate", "reelgate.binpb", "--path", "reelgate", cwd=tmp_path)

    generated = {path.name for path in tmp_path.glob("gen/reelgate/video/v1/*")}
    assert generated == {"video_pb2.py", "video_service_pb2.py"}
    assert not [*tmp_path.glob("gen/reelgate/internal"), *tmp_path.glob("gen/reelgate/admin")]


def test_protos_of_another_repository_import_ours(tmp_path: Path) -> None:
    (tmp_path / "boat.proto").write_text(
        'syntax = "proto3";\npackage boats.v1;\n'
        'import "reelgate/video/v1/video.proto";\n'
        "message Boat {\n  reelgate.video.v1.Video video = 1;\n}\n"
    )

    protoc = (sys.executable, "-m", "grpc_tools.protoc")
    run(
        *protoc, f"--descriptor_set_in={IMAGE}", f"-I{tmp_path}", "--python_out=.", "boat.proto", cwd=tmp_path
    )

    code = "from boat_pb2 import Boat; print(Boat(video={'id': 'vid_1'}).video.id)"
    script = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT / 'gen')!r}]\n{code}"
    assert run(sys.executable, "-c", script, cwd=tmp_path) == "vid_1\n"

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.generate import DOCUMENTS, ROOT, build_image

Document = dict[str, Any]


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Our protos as a descriptor set with comments."""
    target = tmp_path_factory.mktemp("image") / "image.binpb"
    build_image(target, source_info=True)
    return target.read_bytes()


@pytest.fixture
def image(encoded: bytes) -> FileDescriptorSet:
    """The same, to change it."""
    return FileDescriptorSet.FromString(encoded)


@pytest.fixture(params=["seedancee2", "nextapi"])
def document(request: pytest.FixtureRequest) -> Document:
    """A committed document."""
    return committed(request.param)


def committed(contract: str) -> Document:
    found: Document = json.loads(
        Path(ROOT / "gen" / DOCUMENTS / f"{contract}.json").read_text(encoding="utf-8")
    )
    return found

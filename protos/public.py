"""The protos that customers see, with their comments and all that they import: an image that buf and protoc take as input.

Another repository depends on it as on a module of buf, and needs neither our sources nor those of others.
"""

from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

PACKAGES: Final = (
    "reelgate.billing.v1",
    "reelgate.errors.v1",
    "reelgate.models.v1",
    "reelgate.nextapi.v1",
    "reelgate.uploads.v1",
    "reelgate.usage.v1",
    "reelgate.video.v1",
    "reelgate.webhooks.v1",
)
"""All others are for operators, for providers, or between services."""
DETAILS: Final = ("google/rpc/error_details.proto", "google/rpc/status.proto")
"""What refusals hold. Nothing imports them."""


def public_image(image: bytes) -> bytes:
    """Returns the part of an image that PACKAGES need, each file after those that it imports; the same for the same image."""
    files = {file.name: file for file in FileDescriptorSet.FromString(image).file}
    roots = [name for name, file in files.items() if file.package in PACKAGES]
    kept = _closure(files, [*sorted(roots), *DETAILS])
    assert {file.package for file in kept if file.package.startswith("reelgate.")} == set(PACKAGES)
    return FileDescriptorSet(file=kept).SerializeToString(deterministic=True)


def _closure(files: dict[str, FileDescriptorProto], roots: Iterable[str]) -> list[FileDescriptorProto]:
    kept: dict[str, FileDescriptorProto] = {}

    def keep(name: str) -> None:
        if name not in kept:
            for imported in files[name].dependency:
                keep(imported)
            kept[name] = files[name]

    for root in roots:
        keep(root)
    return list(kept.values())

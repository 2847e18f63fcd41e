"""Lints the protos, holds our own conventions, and refuses changes that would break a caller of the version on `main`.

buf works on the image that protoc builds, so it needs no copies of other people's protos.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.conventions import departures
from protos.generate import DESCRIPTOR_SET, ROOT, build_image

BASES = ("origin/main", "main")
"""Where the published descriptor set is looked for, in this order."""


def check() -> int:
    """Returns 0 if the protos are in style and compatible, else what buf returned, or 1."""
    buf = Path(sys.executable).parent / "buf"
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        build_image(image, source_info=True)
        linted = subprocess.run([buf, "lint", image], cwd=ROOT, check=False).returncode
        found = departures(FileDescriptorSet.FromString(image.read_bytes()))
        sys.stderr.writelines(f"{departure}\n" for departure in found)
        linted = linted or int(bool(found))
        published = _published(Path(folder) / "published.binpb")
        if linted != 0 or published is None:
            return linted
        return subprocess.run(
            [buf, "breaking", image, "--against", published], cwd=ROOT, check=False
        ).returncode


def _published(target: Path) -> Path | None:
    for base in BASES:
        shown = subprocess.run(
            ["git", "show", f"{base}:gen/{DESCRIPTOR_SET}"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if shown.returncode == 0:
            target.write_bytes(shown.stdout)
            return target
    return None


if __name__ == "__main__":
    sys.exit(check())

"""The files of the site, and the manifest by which the edge serves them."""

import gzip
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

MANIFEST: Final = "site.json"
ALWAYS_PACKED_BYTES: Final = 512 * 1024
"""Larger files are served packed to everybody: each answer is a copy in the memory of the edge."""
PACKED_BYTES_MIN: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Served:
    """One file at one path."""

    path: str
    file: str
    """Below the folder of the site."""
    packed: str | None
    """The same in gzip."""
    type: str
    tag: str
    """A hash of the content."""
    policy: str = "page"
    """Which Content-Security-Policy it has."""
    immutable: bool = False
    """Whether its path changes whenever its content does."""
    accept: str | None = None
    """It is served only to those who ask for this type."""


@dataclass
class Site:
    """What is served so far."""

    folder: Path
    served: list[Served] = field(default_factory=list)

    def add(
        self,
        path: str,
        content: bytes | str,
        kind: str,
        *,
        file: str | None = None,
        policy: str = "page",
        accept: str | None = None,
    ) -> str:
        """Serves `content` at `path`. Returns the path."""  # fmt: skip
        data = content.encode() if isinstance(content, str) else content
        return self._add(
            data, path=path, file=file or path.lstrip("/"), kind=kind, policy=policy, accept=accept
        )

    def add_asset(self, name: str, content: bytes | str, kind: str) -> str:
        """Serves `content` below /docs/assets, at a path that changes with it. Returns the path."""
        data = content.encode() if isinstance(content, str) else content
        stem, _, suffix = name.partition(".")
        path = f"/docs/assets/{stem}.{_tag(data)}.{suffix}"
        return self._add(data, path=path, file=path.lstrip("/"), kind=kind, immutable=True)

    def _add(self, data: bytes, *, path: str, file: str, kind: str, policy: str = "page", immutable: bool = False, accept: str | None = None) -> str:  # fmt: skip
        packed = None
        target = self.folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if len(data) >= PACKED_BYTES_MIN:
            packed = f"{file}.gz"
            (self.folder / packed).write_bytes(gzip.compress(data, 9, mtime=0))
        if len(data) < ALWAYS_PACKED_BYTES:
            target.write_bytes(data)
        else:
            file = f"{file}.gz"
        self.served.append(
            Served(path=path, file=file, packed=packed, type=kind, tag=_tag(data), policy=policy, immutable=immutable, accept=accept)
        )  # fmt: skip
        return path

    def finish(self) -> None:
        """Writes the manifest."""
        files = [asdict(each) for each in self.served]
        text = json.dumps({"files": files}, indent=1, sort_keys=True) + "\n"
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")


def empty(folder: Path) -> Site:
    """Returns a site without files, in a folder that has none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Site(folder)


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]

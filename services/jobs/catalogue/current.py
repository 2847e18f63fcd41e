"""The catalogue in force: read again when its file or a file with a key changes, and kept while the new one cannot be used."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.telemetry.metrics import JOBS_API, JOBS_WORKER, gauge
from services.jobs.catalogue.keys import CALLBACK_SECRET, KeyName, Keys, read_keys, readable_keys
from services.jobs.catalogue.load import CatalogueFile
from services.jobs.catalogue.problems import CatalogueError
from services.jobs.domain.catalogue import Catalogue

log = logging.getLogger(__name__)

REFUSED = gauge(
    "reelgate_catalogue_refused",
    "1 while the catalogue file, or a file with a key, holds what cannot be used, so that what was read before stays in"
    " force; else 0.",
    of=(JOBS_API, JOBS_WORKER),
)
Stamp = tuple[tuple[int, int, int, int] | None, ...]
"""What changes when one of several files does, or when a link leads to another one. None: it is not there."""


@dataclass(frozen=True, kw_only=True)
class InForce:
    """A catalogue, and the keys of its credentials."""

    catalogue: Catalogue
    keys: Keys
    key_files: tuple[Path, ...]
    """Those that hold keys."""
    key_stamps: Stamp
    """Of these, from before they were read."""

    @property
    def key_names(self) -> tuple[KeyName, ...]:
        """The keys that providers are asked with: not the secrets of callbacks."""
        return tuple(name for name in self.keys if name[1] != CALLBACK_SECRET)


def in_force(file: CatalogueFile, environment: Mapping[str, str]) -> InForce:
    """Returns a catalogue with its keys. Raises CatalogueError if one is missing; they are optional while nobody pays."""
    places = file.key_places
    found = (place.path(environment) for place in places.values())
    paths = tuple(path for path in found if path is not None)
    # Before the files are read, so that the next look sees a change in between.
    stamps = stamps_of(paths)
    read = readable_keys if file.catalogue.live_on_simulator else read_keys
    return InForce(
        catalogue=file.catalogue, keys=read(places, environment), key_files=paths, key_stamps=stamps
    )


class CurrentCatalogue:
    """The catalogue in force."""

    def __init__(self, path: Path, read: Callable[[], InForce]) -> None:
        """Reads it. Raises CatalogueError."""
        self._path = path
        self._read = read
        self._stamp = stamps_of([path])
        self._in_force = read()
        self._refused = ""
        REFUSED.set(0)

    def __call__(self) -> Catalogue:
        """Returns the catalogue."""
        return self._in_force.catalogue

    @property
    def in_force(self) -> InForce:
        """The catalogue and its keys; another object after each change."""
        return self._in_force

    async def look(self) -> int:
        """Reads the files again if they have changed, or cannot be used so far. Returns 0, so that a pause always follows."""
        stamp, known = stamps_of([self._path]), self._in_force
        are_same = stamp == self._stamp and stamps_of(known.key_files) == known.key_stamps
        if are_same and not self._refused:
            return 0
        try:
            # Beside the event loop: nobody waits for a long file.
            self._in_force = await asyncio.to_thread(self._read)
        except CatalogueError as error:
            self._refuse(error)
        else:
            self._stamp = stamp
            self._accept()
        return 0

    def _refuse(self, error: CatalogueError) -> None:
        REFUSED.set(1)
        if str(error) != self._refused:
            self._refused = str(error)
            for problem in error.problems:
                log.error("the catalogue is refused, and the one before stays in force: %s", problem)

    def _accept(self) -> None:
        REFUSED.set(0)
        self._refused = ""
        now = self()
        log.warning(
            "the catalogue was read again: models=%d routes=%d credentials=%d accounts=%d",
            len(now.models), len(now.routes), len(now.credentials), len(now.accounts),
        )  # fmt: skip


def stamps_of(paths: Sequence[Path]) -> Stamp:
    """Returns what changes when one of the files does."""
    return tuple(_stamp_of(path) for path in paths)


def _stamp_of(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

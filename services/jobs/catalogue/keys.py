"""Where the keys of credentials are, and what is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.jobs.catalogue.problems import CatalogueError, Problem

KeyName = tuple[str, str]
"""The name of a credential, and of one of its keys, or CALLBACK_SECRET."""
CALLBACK_SECRET: Final = "callback secret"  # noqa: S105  what it is called
"""No key is called so, because names of keys have no spaces."""
Keys = Mapping[KeyName, str]


@dataclass(frozen=True, kw_only=True)
class KeyPlace:
    """Where a key is: in a variable of the environment, or in the file that `NAME_FILE` names, or in a file."""

    place: str
    """Where the catalogue says so."""
    env: str | None
    file: Path | None

    def path(self, environment: Mapping[str, str]) -> Path | None:
        """Returns the file that holds the key, if one does."""
        if self.env is None:
            return self.file
        named = environment.get(f"{self.env}_FILE")
        return Path(named) if named and not environment.get(self.env) else None

    def read(self, environment: Mapping[str, str]) -> str:
        """Returns the key. Raises CatalogueError, which never shows it."""
        path = self.path(environment)
        if path is None:
            assert self.env is not None
            return self._usable(
                environment.get(self.env, ""), f"the variable {self.env}", f"or {self.env}_FILE"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise self._problem(f"cannot be read from {path}: {why}", "put the key there") from error
        return self._usable(text, f"the file {path}", "")

    def _usable(self, text: str, where: str, other: str) -> str:
        key = text.strip()
        if not key:
            raise self._problem(f"is empty: {where} holds nothing", f"put the key there {other}".rstrip())
        if not key.isascii() or any(character.isspace() for character in key):
            raise self._problem(
                f"cannot be a key: {where} holds spaces or other signs", "put the key there alone"
            )
        return key

    def _problem(self, what: str, write: str) -> CatalogueError:
        return CatalogueError([Problem(self.place, what, write)])


def read_keys(places: Mapping[KeyName, KeyPlace], environment: Mapping[str, str]) -> Keys:
    """Returns all keys. Raises CatalogueError, which names every one that is missing."""
    keys: dict[KeyName, str] = {}
    problems: list[Problem] = []
    for name, place in places.items():
        try:
            keys[name] = place.read(environment)
        except CatalogueError as error:
            problems += error.problems
    if problems:
        raise CatalogueError(problems)
    return keys


def readable_keys(places: Mapping[KeyName, KeyPlace], environment: Mapping[str, str]) -> Keys:
    """Returns those keys that are there."""

    def found() -> Iterator[tuple[KeyName, str]]:
        for name, place in places.items():
            try:
                yield name, place.read(environment)
            except CatalogueError:
                continue

    return dict(found())

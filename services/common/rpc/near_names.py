"""What an unknown field name may have meant, according to the descriptors of the requests."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

NAMES_MAX = 3
"""So many are proposed at most."""
CLOSE_MIN = 0.8
"""How much of two names must be the same for one to be a slip of the other: 1 is all."""
OURS = "reelgate."


@dataclass(frozen=True)
class Known:
    """A field that a request may have."""

    path: str
    field: FieldDescriptor

    @property
    def parent(self) -> str:
        """The path of the object it stands in; empty for the body itself."""
        return self.path.rpartition(".")[0]


@cache
def known_fields(request: Descriptor) -> tuple[Known, ...]:
    """Returns all fields of a request and of our messages in it, in the order of the proto, outer ones first."""
    return tuple(sorted(_fields(request, ""), key=lambda known: known.path.count(".")))


def near(name: str, parent: str, known: Sequence[Known], others: Iterable[Descriptor] = ()) -> list[str]:
    """Returns the paths that a name may have meant, which stands in the object at `parent`: the nearest, or none.

    `others` are requests from whose vocabulary the name may come.
    """
    here = [each for each in known if each.parent == parent]
    finders: tuple[Callable[[str, Sequence[Known]], list[str]], ...] = (_by_words, _slips)
    for candidates in (here, known):
        if found := _same(name, candidates):
            return found[:NAMES_MAX]
    if found := _translated(name, known, others):
        return found
    for candidates in (here, known):
        for find in finders:
            if found := find(name, candidates):
                return found[:NAMES_MAX]
    return []


def is_wrapper(name: str, known: Sequence[Known], others: Iterable[Descriptor]) -> bool:
    """Returns whether `name` is an object of another request, whose fields stand in the body itself here."""
    names = {each.field.name for each in known if not each.parent}
    for other in others:
        for each in known_fields(other):
            inner = each.field.message_type
            if each.field.name == name and inner is not None and inner.full_name.startswith(OURS):
                return len(names.intersection(field.name for field in _fields_of(inner))) > len(names) / 2
    return False


def _fields_of(message: Descriptor) -> Sequence[FieldDescriptor]:
    return message.fields


def _fields(message: Descriptor, prefix: str) -> Iterator[Known]:
    for field in _fields_of(message):
        yield Known(prefix + field.name, field)
        inner = field.message_type
        if inner is not None and inner.full_name.startswith(OURS):
            yield from _fields(inner, f"{prefix}{field.name}.")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _words(name: str) -> frozenset[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return frozenset(word.removesuffix("s") for word in re.split(r"[\W_]+", spaced.lower()) if word)


def _same(name: str, known: Sequence[Known]) -> list[str]:
    """Another case, camelCase, a hyphen."""
    return [each.path for each in known if _plain(each.field.name) == _plain(name)]


def _slips(name: str, known: Sequence[Known]) -> list[str]:
    likeness = {
        each.path: SequenceMatcher(None, _plain(each.field.name), _plain(name)).ratio() for each in known
    }
    most = max(likeness.values(), default=0)
    return [path for path, found in likeness.items() if found == most >= CLOSE_MIN]


def _by_words(name: str, known: Sequence[Known]) -> list[str]:
    """All words of the one are in the other, and few others."""
    words = _words(name)
    apart: dict[str, int] = {}
    for each in known:
        its_words = _words(each.field.name)
        if words and (words <= its_words or its_words <= words):
            apart[each.path] = len(words ^ its_words)
    least = min(apart.values(), default=0)
    return [path for path, count in apart.items() if count == least]


def _translated(name: str, known: Sequence[Known], others: Iterable[Descriptor]) -> list[str]:
    """The one field of ours that holds the same as `name` in a request like ours, which has no such field."""
    names = {each.field.name for each in known}
    for other in others:
        theirs = {each.field.name: each.field for each in known_fields(other)}
        if name not in theirs or 2 * len(names & theirs.keys()) < min(len(names), len(theirs)):
            continue
        kind = _kind(theirs[name])
        found = [each.path for each in known if each.field.name not in theirs and _kind(each.field) == kind]
        if len(found) == 1:
            return found
    return []


def _kind(field: FieldDescriptor) -> tuple[Any, ...]:
    return field.type, field.is_repeated, field.GetOptions().SerializeToString(deterministic=True)

"""Which part of a file a request gets: conditions and ranges of RFC 9110, sections 13 and 14."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

CONDITIONS = ("If-Match", "If-Unmodified-Since", "If-None-Match", "If-Modified-Since", "If-Range", "Range")
"""The fields of a request that `select` reads."""
_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_DIGITS = r"[0-9]{1,4000}"  # of more, int() makes no number
_RANGE = re.compile(rf"(?P<first>{_DIGITS})-(?P<last>{_DIGITS})?|-(?P<suffix>{_DIGITS})")
_DATE_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


@dataclass(frozen=True, kw_only=True)
class FileState:
    """The current file. `etag` is a strong tag with its quotes, `modified` is in Unix seconds."""

    etag: str
    modified: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """A range of bytes of a file, including the last one."""

    first: int
    last: int


class Verdict(Enum):
    """The answer to a request that does not get a part."""

    WHOLE = auto()
    NOT_MODIFIED = auto()
    PRECONDITION_FAILED = auto()
    NOT_SATISFIABLE = auto()


def select(method: str, fields: Mapping[str, str], file: FileState) -> Part | Verdict:
    """Returns what a GET or HEAD gets. In `fields`, the values of a repeated field are joined by commas.

    A range with another unit, or malformed, is ignored. Ranges outside the file do not count: if one range is left, that
    part is sent, and if several are left, the whole file, which section 14.2 allows.
    """
    if not _precondition_holds(fields, file):
        return Verdict.PRECONDITION_FAILED
    if _is_known(fields, file):
        return Verdict.NOT_MODIFIED
    if method != "GET" or "Range" not in fields or not _is_same(fields.get("If-Range"), file):
        return Verdict.WHOLE
    return _selected(fields["Range"], file.size)


def _precondition_holds(fields: Mapping[str, str], file: FileState) -> bool:
    if (tags := fields.get("If-Match")) is not None:
        return tags.strip() == "*" or file.etag in _strong(tags)
    moment = _seconds(fields.get("If-Unmodified-Since"))
    return moment is None or file.modified <= moment


def _is_known(fields: Mapping[str, str], file: FileState) -> bool:
    if (tags := fields.get("If-None-Match")) is not None:
        return tags.strip() == "*" or any(tag == file.etag for _, tag in _ENTITY_TAG.findall(tags))
    moment = _seconds(fields.get("If-Modified-Since"))
    return moment is not None and file.modified <= moment


def _is_same(validator: str | None, file: FileState) -> bool:
    if validator is None:
        return True
    if validator.startswith(('"', "W/")):
        return validator == file.etag
    # As good as a tag: a file appears complete under its name and is never written again.
    return _seconds(validator) == file.modified


def _strong(tags: str) -> list[str]:
    return [tag for weak, tag in _ENTITY_TAG.findall(tags) if not weak]


def _seconds(date: str | None) -> float | None:
    for form in _DATE_FORMS if date else ():
        try:
            return datetime.strptime(date or "", form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def _selected(ranges: str, size: int) -> Part | Verdict:
    unit, _, listed = ranges.partition("=")
    found = [_RANGE.fullmatch(each.strip(" \t")) for each in listed.split(",") if each.strip(" \t")]
    # An answer cannot name a part of an empty file.
    if unit.lower() != "bytes" or not found or not size:
        return Verdict.WHOLE
    parts = []
    for match in found:
        if match is None or _is_backwards(match["first"], match["last"]):
            return Verdict.WHOLE
        parts += _within(match, size)
    if not parts:
        return Verdict.NOT_SATISFIABLE
    return parts[0] if len(parts) == 1 else Verdict.WHOLE


def _is_backwards(first: str | None, last: str | None) -> bool:
    return first is not None and last is not None and int(last) < int(first)


def _within(match: re.Match[str], size: int) -> list[Part]:
    if match["suffix"] is not None:
        length = min(int(match["suffix"]), size)
        return [Part(first=size - length, last=size - 1)] if length else []
    first = int(match["first"])
    last = size - 1 if match["last"] is None else min(int(match["last"]), size - 1)
    return [Part(first=first, last=last)] if first < size else []

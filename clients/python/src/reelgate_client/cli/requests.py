"""The body of a creation, from words such as `duration=5 image=@a.png`. A file that is named is uploaded first."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reelgate_client.cli.exits import CommandError

LISTS = {"image": "image_urls", "video": "video_urls", "audio": "audio_urls"}
FRAMES = {"start_image": "start_image_url", "end_image": "end_image_url"}
ADDRESSES = frozenset({*LISTS.values(), *FRAMES.values(), "video_url"})
FLAGS = frozenset({"true", "false"})
DURATIONS = {"seedancee2": "duration", "nextapi": "duration_seconds"}
CALLBACKS = {"seedancee2": "callback_url", "nextapi": "webhook_url"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")

Body = dict[str, Any]
"""As the contract has it, but with a Path where a file is named."""


def body_of(contract: str, *, model: str, prompt: str, words: Sequence[str]) -> Body:
    """Returns what to create. Raises CommandError for a word that cannot be understood or a file that is not there."""
    fields: dict[str, Any] = {"prompt": prompt}
    metadata: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise CommandError(
                f"{word!r} is no setting: write name=value, as in duration=5, and put a prompt in quotes"
            )
        if name.startswith("metadata."):
            metadata[name.removeprefix("metadata.")] = _value(text)
        else:
            _add(fields, _name(contract, name, text), text)
    if {"start_image_url", "end_image_url"} & fields.keys():
        fields.setdefault("generation_type", "first_and_last_frames")
    return shaped(contract, {"model": model, **fields, **({"metadata": metadata} if metadata else {})})


def shaped(contract: str, fields: Mapping[str, Any]) -> Body:
    """Returns the body of a contract from flat fields: one of them has most of them in `input`."""
    if contract == "nextapi" or "input" in fields:
        return dict(fields)
    outside = {
        name: fields[name] for name in ("model", CALLBACKS["seedancee2"], "metadata") if name in fields
    }
    return {**outside, "input": {name: value for name, value in fields.items() if name not in outside}}


def resolved(body: Any, upload: Callable[[Path], str]) -> Any:
    """Returns a body with the addresses of files in place of the files."""
    if isinstance(body, Path):
        return upload(body)
    if isinstance(body, dict):
        return {name: resolved(value, upload) for name, value in body.items()}
    return [resolved(each, upload) for each in body] if isinstance(body, list) else body


def files_in(body: Any) -> list[Path]:
    """Returns the files that a body names, each once."""
    found: dict[Path, None] = {}
    resolved(body, lambda path: str(found.setdefault(path)))
    return list(found)


def _name(contract: str, name: str, text: str) -> str:
    if name == "audio" and text in FLAGS:
        return "generate_audio"
    if name in DURATIONS.values():
        return DURATIONS[contract]
    if name in CALLBACKS.values():
        return CALLBACKS[contract]
    return LISTS.get(name) or FRAMES.get(name) or name


def _add(fields: dict[str, Any], name: str, text: str) -> None:
    value = _address(text) if name in ADDRESSES else _value(text)
    if name in LISTS.values():
        fields.setdefault(name, []).append(value)
    elif name in fields:
        raise CommandError(f"{name} is given twice")
    else:
        fields[name] = value


def _address(text: str) -> str | Path:
    if not text.startswith("@"):
        return text
    path = Path(text[1:]).expanduser()
    if not path.is_file():
        raise CommandError(f"There is no file {path}")
    return path


def _value(text: str) -> Any:
    if text in FLAGS:
        return text == "true"
    return int(text) if _NUMBER.fullmatch(text) else text

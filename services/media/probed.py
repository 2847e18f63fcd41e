"""Questions to a probing process and its answers: plain JSON and bytes, because the answers are not trusted."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.media.errors import MediaRejectedError
from services.media.limits import MediaLimits

HEAD_END = b"\n"


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A video file as measured, and pictures of it. `duration_seconds` is that of the video stream."""

    duration_seconds: float
    width: int
    height: int
    poster_jpeg: bytes
    last_frame_jpeg: bytes | None
    frames_per_second: float = 0.0
    """Only of references."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a probing process is asked about a file."""

    want_last_frame: bool
    limits: MediaLimits
    owner: str | None
    """Whose file it is. Its fork may look at others of the same owner; with None at no other."""

    @property
    def limits_here(self) -> MediaLimits:
        """What the file may take of the fork that looks at it."""
        return self.limits if self.owner is None else self.limits.shared()


def render_question(question: Question) -> bytes:
    """Returns the question as `parse_question` reads it."""
    return json.dumps(asdict(question)).encode()


def parse_question(question: bytes) -> Question:
    """Returns the question that was rendered."""
    asked = json.loads(question)
    return Question(**{**asked, "limits": MediaLimits(**asked["limits"])})


def render_answer(answer: Probed | MediaRejectedError) -> bytes:
    """Returns the answer as `parse_answer` reads it: a line of JSON, then the pictures one after another."""
    if isinstance(answer, MediaRejectedError):
        return json.dumps({"rejected": answer.detail}).encode() + HEAD_END
    last = answer.last_frame_jpeg
    facts = {name: value for name, value in vars(answer).items() if not name.endswith("_jpeg")}
    head = {**facts, "poster_bytes": len(answer.poster_jpeg), "has_last_frame": last is not None}
    return json.dumps(head).encode() + HEAD_END + answer.poster_jpeg + (last or b"")


def parse_answer(answer: bytes) -> Probed:
    """Returns the measured file. Raises MediaRejectedError if the answer says so, or is not an answer."""
    line, _, pictures = answer.partition(HEAD_END)
    try:
        head = json.loads(line)
        if "rejected" in head:
            raise MediaRejectedError(str(head["rejected"]))
        return _probed(head, pictures)
    except (ValueError, LookupError, TypeError) as error:
        raise MediaRejectedError("undecodable: the decoder gave no answer") from error


def _probed(head: Mapping[str, Any], pictures: bytes) -> Probed:
    poster_bytes = int(head["poster_bytes"])
    return Probed(
        duration_seconds=float(head["duration_seconds"]),
        width=int(head["width"]),
        height=int(head["height"]),
        frames_per_second=float(head["frames_per_second"]),
        poster_jpeg=pictures[:poster_bytes],
        last_frame_jpeg=pictures[poster_bytes:] if head["has_last_frame"] is True else None,
    )

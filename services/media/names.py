"""Object names of results, staged and public, and of uploads."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date

from services.media.reference_rules import MEDIA_TYPES, extension_of

STAGED_FOLDER = ".staged"
"""The folder of results that nobody may see yet. The edge serves no name with a leading dot."""
UPLOADS_FOLDER = ".uploads"
"""The folder of what customers have uploaded."""
UPLOADS_PATH = "uploads"
"""What it is called below the media address."""
_UPLOAD = re.compile(r"(?P<id>upl_[0-9a-z]{26})-[A-Za-z0-9_-]{43}\.(?P<extension>[a-z0-9]+)")
_UPLOAD_TYPES = {extension_of(media_type): media_type for media_type in MEDIA_TYPES}
_VIDEOS, _POSTERS = "videos/", "video-posters/"
_JOB_ID = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True, kw_only=True)
class MediaNames:
    """The files of one job, relative to the store's root and to the public address."""

    video: str
    poster: str
    last_frame: str


def media_names(job_id: str, *, created_on: date) -> MediaNames:
    """Returns the object names of a job; `created_on` is its day in UTC. The names of a job never change."""
    assert _JOB_ID.fullmatch(job_id), "a job id must be safe in a path"
    day = created_on.strftime("%Y/%m/%d")
    return MediaNames(
        video=f"{_VIDEOS}{day}/{job_id}.mp4",
        poster=f"{_POSTERS}{day}/{job_id}.jpg",
        last_frame=f"{_POSTERS}{day}/{job_id}-last.jpg",
    )


def is_result(name: str) -> bool:
    """Returns whether an object is a public file of some job."""
    return name.startswith((_VIDEOS, _POSTERS))


def staged_names(job_id: str, *, secret: str) -> MediaNames:
    """Returns the object names of a result that is not public yet. They cannot be guessed without the secret."""
    assert _JOB_ID.fullmatch(job_id), "a job id must be safe in a path"
    digest = hashlib.sha256(f"{job_id} {secret}".encode()).hexdigest()[:32]
    stem = f"{STAGED_FOLDER}/{job_id}.{digest}"
    return MediaNames(video=f"{stem}.mp4", poster=f"{stem}.jpg", last_frame=f"{stem}-last.jpg")


def job_of_staged(name: str) -> str | None:
    """Returns the job that a staged object belongs to. None: we do not make such names."""
    job_id = name.removeprefix(f"{STAGED_FOLDER}/").partition(".")[0]
    return job_id if _JOB_ID.fullmatch(job_id) else None


def public_name(staged: str, *, names: MediaNames) -> str:
    """Returns the public name of a staged object."""
    if staged.endswith("-last.jpg"):
        return names.last_frame
    return names.video if staged.endswith(".mp4") else names.poster


def upload_name(upload_id: str, *, secret: str, media_type: str) -> str:
    """Returns the file name of an upload. It cannot be guessed without the secret."""
    return f"{upload_id}-{secret}.{extension_of(media_type)}"


def upload_id_of(name: str) -> str | None:
    """Returns the upload that a file name belongs to. None: we do not make such names."""
    found = _UPLOAD.fullmatch(name)
    return None if found is None else found["id"]


def upload_media_type(name: str) -> str | None:
    """Returns the media type that an upload of this file name was announced with. None: we do not make such names."""
    found = _UPLOAD.fullmatch(name)
    return None if found is None else _UPLOAD_TYPES.get(found["extension"])

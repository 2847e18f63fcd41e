"""Object names of results, staged and public."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date

STAGED_FOLDER = ".staged"
"""The folder of results that nobody may see yet. The edge serves no name with a leading dot."""
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
        video=f"videos/{day}/{job_id}.mp4",
        poster=f"video-posters/{day}/{job_id}.jpg",
        last_frame=f"video-posters/{day}/{job_id}-last.jpg",
    )


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

import re
from dataclasses import dataclass
from datetime import date

_JOB_ID = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True, kw_only=True)
class MediaNames:
    """Where the files of one job lie, below the store's root and below the public address alike."""

    video: str
    poster: str
    last_frame: str


def media_names(job_id: str, *, created_on: date) -> MediaNames:
    """Returns the object names of a job; `created_on` is its day in UTC. The same job has the same names, always."""
    assert _JOB_ID.fullmatch(job_id), "a job id must be safe in a path"
    day = created_on.strftime("%Y/%m/%d")
    return MediaNames(
        video=f"videos/{day}/{job_id}.mp4",
        poster=f"video-posters/{day}/{job_id}.jpg",
        last_frame=f"video-posters/{day}/{job_id}-last.jpg",
    )

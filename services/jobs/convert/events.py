"""What customers are told when their jobs change, each in the words of its contract."""

from datetime import datetime

from services.common.clock import rfc3339
from services.jobs.convert.json_text import compact_json
from services.jobs.convert.nextapi import job_fields, job_status
from services.jobs.convert.seedancee2 import video_fields
from services.jobs.domain.events import NewEvent
from services.jobs.domain.job import Job, stage


def render_event(before: Job, after: Job, moment: datetime) -> NewEvent | None:
    """Returns the event of a change to a job, made at a moment. None: its contract tells nobody."""
    return _RENDERERS[after.owner.contract](before, after, moment)


def _of_seedancee2(_before: Job, after: Job, moment: datetime) -> NewEvent | None:
    if after.ended_at is None:
        return None
    return NewEvent(
        id=_event_id(after, 1),
        type=f"video.generation.{after.status}",
        sequence=1,
        body=compact_json({"data": video_fields(after)}).encode(),
        occurred_at=moment,
    )


def _of_nextapi(before: Job, after: Job, moment: datetime) -> NewEvent:
    # One event for each stage that the job has reached since it waits has gone before.
    sequence = 1 + stage(before)
    event_id, event_type = _event_id(after, sequence), f"job.{job_status(after)}"
    body = {
        "id": event_id,
        "type": event_type,
        "created_at": rfc3339(moment),
        "sequence": sequence,
        "data": job_fields(after, now=moment),
    }
    return NewEvent(
        id=event_id,
        type=event_type,
        sequence=sequence,
        body=compact_json(body).encode(),
        occurred_at=moment,
    )


def _event_id(job: Job, sequence: int) -> str:
    return f"evt_{job.id}_{sequence}"


_RENDERERS = {"seedancee2": _of_seedancee2, "nextapi": _of_nextapi}

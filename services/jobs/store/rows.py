"""Rows of the jobs table and domain values, both ways."""

import json
from collections.abc import Mapping
from typing import Any

from services.jobs.domain.failures import FailureCode, UnusableReference
from services.jobs.domain.job import Job, Output
from services.jobs.domain.requests import JobInput, Owner
from services.jobs.domain.states import Status
from services.jobs.tables import jobs

JOB_COLUMNS = tuple(column for column in jobs.c if column.name != "rendered_by")
"""What job_from_row reads."""
_SEPARATOR = ","
"""No name of a field has it."""


def input_to_json(wanted: JobInput) -> str:
    """Returns what to render as JSON; empty and absent parts are left out."""
    present = {name: value for name, value in vars(wanted).items() if value not in (None, ())}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


def input_from_json(text: str) -> JobInput:
    """Returns what input_to_json was given."""
    values: dict[str, Any] = json.loads(text)
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return JobInput(**{**values, **lists})


def unusable_to_text(unusable: UnusableReference | None) -> str | None:
    """Returns what is known of an unusable file in one text."""
    return None if unusable is None else f"{unusable.fault} {_SEPARATOR.join(unusable.fields)}"


def unusable_from_text(text: str | None) -> UnusableReference | None:
    """Returns what unusable_to_text was given."""
    if text is None:
        return None
    fault, _, fields = text.partition(" ")
    return UnusableReference(fields=tuple(fields.split(_SEPARATOR)), fault=fault)


def job_to_row(job: Job) -> dict[str, Any]:
    """Returns the columns of a job that has just been accepted."""
    return {
        "id": job.id,
        "account_id": job.owner.account_id,
        "environment": job.owner.environment,
        "contract": job.owner.contract,
        "status": job.status.value,
        "model": job.model,
        "input": input_to_json(job.input),
        "callback_url": job.callback_url,
        "metadata": job.metadata_json,
        "key_id": job.key_id,
        "moderation_profile": job.moderation_profile,
        "reference_fields": _SEPARATOR.join(job.reference_fields) or None,
        "price_version": job.price_version,
        "micros_per_second": job.micros_per_second,
        "reserved_micros": job.reserved_micros,
        "created_at": job.created_at,
        "traceparent": job.traceparent,
        "names_seed": job.names_seed or None,
    }


def job_from_row(row: Mapping[str, Any]) -> Job:
    """Returns the job that a row with JOB_COLUMNS describes."""
    return Job(
        id=row["id"],
        owner=Owner(account_id=row["account_id"], environment=row["environment"], contract=row["contract"]),
        status=Status(row["status"]),
        model=row["model"],
        input=input_from_json(row["input"]),
        callback_url=row["callback_url"],
        metadata_json=row["metadata"],
        key_id=row["key_id"],
        moderation_profile=row["moderation_profile"],
        price_version=row["price_version"],
        micros_per_second=row["micros_per_second"],
        reserved_micros=row["reserved_micros"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        charged_micros=row["charged_micros"],
        refunded_micros=row["refunded_micros"],
        returned_micros=row["returned_micros"],
        output=_output(row),
        is_media_deleted=row["media_deleted_at"] is not None,
        failure=FailureCode(row["failure"]) if row["failure"] else None,
        reference_fields=tuple(filter(None, (row["reference_fields"] or "").split(_SEPARATOR))),
        unusable=unusable_from_text(row["unusable"]),
        traceparent=row["traceparent"],
        names_seed=bool(row["names_seed"]),
    )


def _output(row: Mapping[str, Any]) -> Output | None:
    if row["video_url"] is None:
        return None
    return Output(
        video_url=row["video_url"],
        thumbnail_url=row["thumbnail_url"],
        last_frame_url=row["last_frame_url"],
        duration_seconds=row["output_seconds"],
    )

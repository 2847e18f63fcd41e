"""Accepting a job: priced, paid for, stored."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from services.common.clock import Clock
from services.common.errors import invalid_field
from services.jobs.domain import Catalogue, Job, Model, NewVideo, Owner, Status, VideoInput, price_micros
from services.jobs.ports import Jobs, Ledger


async def create_video(
    wanted: NewVideo,
    *,
    owner: Owner,
    catalogue: Catalogue,
    ledger: Ledger,
    jobs: Jobs,
    new_id: Callable[[datetime], str],
    clock: Clock,
) -> Job:
    """Sets the price aside, stores the job and makes it due; every call makes another job.

    Refuses with MODEL_NOT_FOUND, INVALID_FIELD or CREDITS_INSUFFICIENT; then nothing is stored or held.
    """
    model = catalogue.model(wanted.model)
    _refuse_unsupported(model, wanted.input)
    micros_per_second, reserved_micros = price_micros(model, wanted.input)
    now = clock()
    # What customers are shown, and filter usage by, has milliseconds and no more.
    created_at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    job = Job(
        id=new_id(created_at),
        owner=owner,
        status=Status.PENDING,
        model=model.id,
        input=wanted.input,
        callback_url=wanted.callback_url,
        metadata_json=wanted.metadata_json,
        price_version=catalogue.price_version,
        micros_per_second=micros_per_second,
        reserved_micros=reserved_micros,
        created_at=created_at,
    )
    await ledger.hold(job.id, owner=owner, amount_micros=reserved_micros)
    try:
        await jobs.create(job)
    except Exception:
        # The hold expires by itself; giving it back now only spares the customer the wait.
        with suppress(Exception):
            await ledger.release(job.id)
        raise
    return job


def _refuse_unsupported(model: Model, wanted: VideoInput) -> None:
    if wanted.aspect_ratio not in model.aspect_ratios:
        allowed = ", ".join(model.aspect_ratios)
        raise invalid_field(
            "input.aspect_ratio", f"must be one of {allowed} for model {model.id}", wanted.aspect_ratio
        )
    needs = (
        ("image_reference", "input.image_urls", wanted.image_urls),
        ("video_reference", "input.video_urls", wanted.video_urls),
        ("audio_reference", "input.audio_urls", wanted.audio_urls),
        ("first_and_last_frames", "input.generation_type", wanted.start_image_url),
        ("audio_generation", "input.generate_audio", wanted.generate_audio),
        ("watermark", "input.watermark", wanted.watermark),
        ("last_frame", "input.return_last_frame", wanted.return_last_frame),
    )
    for capability, field, used in needs:
        if used and capability not in model.capabilities:
            raise invalid_field(field, f"asks for {capability}, which model {model.id} does not support")

"""What the requests and answers of both contracts have in common."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest
from reelgate.video.v1 import video_pb2

from services.common.egress.policy import ForbiddenUrlError
from services.common.egress.urls import DATA_URL, NO_DATA_URL
from services.common.errors import invalid_field
from services.common.money import MICROS_PER_CREDIT
from services.jobs.convert.metadata import parse_metadata
from services.jobs.domain.failures import FAILURE_MESSAGE, REFERENCE_MESSAGE
from services.jobs.domain.job import Job
from services.jobs.domain.requests import FieldName, JobInput, NewJob
from services.jobs.domain.uploads import UploadUse
from services.jobs.normalized_text import is_blank
from services.jobs.refusals import job_not_found
from services.media.reference_rules import ReferenceKind, ReferenceRefusedError, check_extension

CheckUrl = Callable[[str], None]
"""Raises ForbiddenUrlError for an address that nobody may be sent to."""

DURATION_SECONDS_DEFAULT = 5
RESOLUTION_DEFAULT = "720p"
ASPECT_RATIO_DEFAULT = "16:9"
LIST_LIMIT_DEFAULT = 20

_ULID = "[0-9a-hjkmnp-tv-z]{26}"
_FRAMES = "first_and_last_frames"
_FRAME_FIELDS = ("start_image_url", "end_image_url")
# In the order of `Order.references`, which counts both ways to send a video, and both ways to send frames, as one.
_REFERENCE_FIELDS = (*_FRAME_FIELDS, "image_urls", "video_url", "video_urls", "audio_urls")


@dataclass(frozen=True, kw_only=True)
class SentJob:
    """A request in the words of the domain. Empty texts, and a duration of 0, were not sent."""

    model: str
    input: video_pb2.VideoInput | CreateJobRequest
    """Whatever has the input fields that both contracts name alike."""
    duration_seconds: int
    callback_url: str
    metadata: Struct | None
    field_name: FieldName
    moderation_profile: str = ""


def parse_sent_job(
    sent: SentJob, *, check_url: CheckUrl, random_seed: Callable[[], int], uploads_url: str = ""
) -> NewJob:
    """Returns the request with every default resolved. Refuses with INVALID_FIELD.

    What begins with `uploads_url` names an upload. Expects what the protos' own rules let through. A field is refused under the name its sender gave it.
    """
    wanted = _parse_input(sent, random_seed)
    uploads = _check_urls(sent, check_url, uploads_url=uploads_url)
    return NewJob(
        model=sent.model,
        input=wanted,
        callback_url=sent.callback_url or None,
        metadata_json=None if sent.metadata is None else parse_metadata(sent.metadata),
        field_name=sent.field_name,
        moderation_profile=sent.moderation_profile or None,
        uploads=uploads,
        reference_fields=tuple(field for field, _ in _references(sent)),
        names_seed=sent.input.HasField("seed"),
    )


def is_job_id(text: str, prefix: str) -> bool:
    """Returns whether a text can be the id of a job of the contract whose ids begin so."""
    return re.fullmatch(f"{prefix}_{_ULID}", text) is not None


def parse_job_id(text: str, prefix: str) -> str:
    """Returns the id of a job. Refuses with JOB_NOT_FOUND what cannot be one."""
    if not is_job_id(text, prefix):
        raise job_not_found(text)
    return text


def render_credits(micros: int) -> float:
    """Returns an amount as both contracts print it: whole numbers whole, others as decimals."""
    whole, rest = divmod(micros, MICROS_PER_CREDIT)
    return micros / MICROS_PER_CREDIT if rest else whole


def _parse_input(sent: SentJob, random_seed: Callable[[], int]) -> JobInput:
    fields, name = sent.input, sent.field_name
    if is_blank(fields.prompt):
        raise invalid_field(name("prompt"), "must not be blank")
    if fields.HasField("video_url") and fields.video_urls:
        raise invalid_field(name("video_url"), f"cannot be sent together with {name('video_urls')}")
    images: tuple[str, ...] = ()
    start = end = None
    if fields.generation_type == _FRAMES:
        start, end = _parse_frames(sent)
    else:
        images = _parse_references(sent)
    aspect_ratio = fields.aspect_ratio or ASPECT_RATIO_DEFAULT
    if aspect_ratio == "adaptive" and not (images or start):
        aspect_ratio = ASPECT_RATIO_DEFAULT
    return JobInput(
        prompt=fields.prompt,
        duration_seconds=sent.duration_seconds or DURATION_SECONDS_DEFAULT,
        resolution=fields.resolution or RESOLUTION_DEFAULT,
        aspect_ratio=aspect_ratio,
        generate_audio=fields.generate_audio,
        watermark=fields.watermark,
        return_last_frame=fields.return_last_frame,
        seed=fields.seed if fields.HasField("seed") else random_seed(),
        image_urls=images,
        video_urls=(fields.video_url,) if fields.HasField("video_url") else tuple(fields.video_urls),
        audio_urls=tuple(fields.audio_urls),
        start_image_url=start,
        end_image_url=end,
    )


def _parse_references(sent: SentJob) -> tuple[str, ...]:
    fields, name = sent.input, sent.field_name
    for field in _FRAME_FIELDS:
        if getattr(fields, field):
            raise invalid_field(name(field), f"is only allowed with generation_type {_FRAMES}")
    # Every provider of these models refuses sound alone; a refusal now is better than a failed task.
    if fields.audio_urls and not (fields.image_urls or fields.video_urls or fields.video_url):
        raise invalid_field(name("audio_urls"), "needs at least one reference image or video beside it")
    return tuple(fields.image_urls)


def _parse_frames(sent: SentJob) -> tuple[str, str]:
    fields, name = sent.input, sent.field_name
    for field in ("video_url", "video_urls", "audio_urls"):
        if getattr(fields, field):
            raise invalid_field(name(field), f"cannot be combined with generation_type {_FRAMES}")
    frames = [getattr(fields, field) for field in _FRAME_FIELDS]
    images = name("image_urls")
    if fields.image_urls:
        if any(frames):
            raise invalid_field(images, f"cannot be combined with {' and '.join(map(name, _FRAME_FIELDS))}")
        if len(fields.image_urls) != 2:
            rule = (
                f"must hold exactly 2 images with generation_type {_FRAMES}; it had {len(fields.image_urls)}"
            )
            raise invalid_field(images, rule)
        frames = list(fields.image_urls)
    for field, frame in zip(_FRAME_FIELDS, frames, strict=True):
        if not frame:
            rule = f"is required with generation_type {_FRAMES}, unless {images} holds the 2 frames"
            raise invalid_field(name(field), rule)
    return frames[0], frames[1]


def failure_message(job: Job, field_name: FieldName) -> str:
    """Returns why a job failed, for its customer: for a file that could not be used, where it stands in the request."""
    assert job.failure is not None
    if job.unusable is None:
        return FAILURE_MESSAGE[job.failure]
    fields = [field_name(field) for field in job.unusable.fields]
    if len(fields) > 1:
        lists = dict.fromkeys(field.partition("[")[0] for field in fields)
        fields = [f"A file of {' or '.join(lists)}"]
    return f"{fields[0]} {REFERENCE_MESSAGE[job.unusable.fault]}"


def _references(sent: SentJob) -> Iterator[tuple[str, str]]:
    """The files of a request, in the order that providers get them."""
    for field in _REFERENCE_FIELDS:
        value = getattr(sent.input, field)
        if isinstance(value, str):
            yield from [(field, value)] if value else []
        else:
            yield from ((f"{field}[{index}]", url) for index, url in enumerate(value))


def _check_urls(sent: SentJob, check_url: CheckUrl, *, uploads_url: str) -> tuple[UploadUse, ...]:
    """Refuses what cannot be an address, or a file of its kind. Returns the references that name uploads."""
    uploads = []
    for field, url in _references(sent):
        name, kind = sent.field_name(field), _kind_of(field)
        if uploads_url and url.startswith(uploads_url):
            uploads.append(UploadUse(field=name, name=url.removeprefix(uploads_url), kind=kind))
            continue
        if url.startswith(DATA_URL):
            raise invalid_field(name, NO_DATA_URL, url)
        _check_url(name, url, check_url)
        try:
            check_extension(url, kind)
        except ReferenceRefusedError as error:
            raise invalid_field(name, error.rule, url) from error
    if sent.callback_url:
        _check_url(sent.field_name("callback_url"), sent.callback_url, check_url)
    return tuple(uploads)


def _check_url(field: str, url: str, check_url: CheckUrl) -> None:
    try:
        check_url(url)
    except ForbiddenUrlError as error:
        raise invalid_field(field, error.why, url) from error


def _kind_of(field: str) -> ReferenceKind:
    if field.startswith("video"):
        return ReferenceKind.VIDEO
    return ReferenceKind.AUDIO if field.startswith("audio") else ReferenceKind.IMAGE

"""A file that a provider cannot use is named as its sender named it, in polls and in webhooks of both contracts."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.convert.nextapi import job_fields, parse_new_job
from services.jobs.convert.seedancee2 import parse_new_video, video_fields
from services.jobs.domain.failures import FAILURE_MESSAGE, FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.requests import CAPS_DEFAULT, NewJob
from services.jobs.domain.states import Status
from services.jobs.failures import unusable_of
from services.jobs.store.admission.creation import creation_values
from services.jobs.store.rows import job_to_row
from services.upstream.provider import BadReference, Order, ReferenceFault, RefusalKind, Refused, RefusedError
from services.upstream.providers.ark.errors import ArkError, refusal
from services.upstream.providers.ark.wire import render_order
from tests.integration.jobs.conftest import OWNER, a_job
from tests.integration.jobs.world import World, open_world

SECRET = "https://10.0.0.7/ark/tos-cn?token=1"
DOWNLOADED = "could not be downloaded. Check that its address is public and answers with the file."


def urls(kind: str, count: int) -> list[str]:
    return [f"https://cdn.example.com/{kind}{index}" for index in range(count)]


SHAPES: list[dict[str, Any]] = [
    {"image_urls": urls("i", 9), "video_urls": urls("v", 3), "audio_urls": urls("a", 3)},
    {"video_url": urls("v", 1)[0], "audio_urls": urls("a", 1)},
    {"image_urls": urls("i", 1)},
    {
        "generation_type": "first_and_last_frames",
        "start_image_url": urls("s", 1)[0],
        "end_image_url": urls("e", 1)[0],
    },
    {"generation_type": "first_and_last_frames", "image_urls": urls("i", 2)},
]


def named(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every address of a request, and the name that stands for it."""
    for name, value in fields.items():
        if isinstance(value, list):
            yield from ((f"{name}[{index}]", url) for index, url in enumerate(value))
        elif value.startswith("https"):
            yield name, value


def nested(fields: dict[str, Any]) -> NewJob:
    body = {"model": "pro", "input": {"prompt": "waves", **fields}}
    return parse_new_video(
        ParseDict(body, CreateVideoRequest()), check_url=lambda _: None, random_seed=lambda: 1
    )


def flat(fields: dict[str, Any]) -> NewJob:
    body = {"model": "seedance-2.0-pro", "prompt": "waves", **fields}
    return parse_new_job(ParseDict(body, CreateJobRequest()), check_url=lambda _: None, random_seed=lambda: 1)


def job_of(wanted: NewJob, contract: str) -> Job:
    owner = replace(OWNER, contract=contract)
    return replace(a_job(), owner=owner, input=wanted.input, reference_fields=wanted.reference_fields)


def said_of(url: str, wanted: NewJob) -> Refused:
    """What ModelArk answers when it cannot download this address of an order."""
    order = Order(model="m", **vars(wanted.input))
    content = render_order(order, correlation_id="a", callback_url=None, sends_seed=False)["content"]
    [place] = [index for index, item in enumerate(content) if item.get(item["type"]) == {"url": url}]
    message = f"The parameter `content[{place}].x` {SECRET}: resource download failed. Request id: 02"
    error = ArkError(code="InvalidParameter", message=message, parameter=f"content[{place}]")
    return refusal(error, otherwise=RefusalKind.FAILED, detail="for operators")


CONTRACTS: list[tuple[str, Callable[[dict[str, Any]], NewJob], str]] = [
    ("seedancee2", nested, "input."),
    ("nextapi", flat, ""),
]


def shown(job: Job) -> dict[str, Any]:
    fields = job_fields(job, now=utc_now()) if job.owner.contract == "nextapi" else video_fields(job)
    error: dict[str, Any] = fields["error"]
    return error


def failed_for(refused: Refused, job: Job) -> Job:
    return replace(
        job,
        status=Status.FAILED,
        ended_at=utc_now(),
        failure=FailureCode.INPUT_MEDIA_ERROR,
        unusable=unusable_of(refused, job),
    )


@pytest.mark.parametrize(("contract", "parse", "prefix"), CONTRACTS)
@pytest.mark.parametrize("fields", SHAPES)
def test_every_reference_is_named_as_it_was_sent(
    contract: str, parse: Callable[[dict[str, Any]], NewJob], prefix: str, fields: dict[str, Any]
) -> None:
    wanted = parse(fields)
    expected = list(named(fields))
    assert len(wanted.reference_fields) == len(expected)
    for name, url in expected:
        job = failed_for(said_of(url, wanted), job_of(wanted, contract))

        assert shown(job)["message"] == f"{prefix}{name} {DOWNLOADED}"
        event = render_event(replace(job, ended_at=None), job, utc_now())
        assert event is not None
        assert json.loads(event.body)["data"]["error"] == shown(job)


@pytest.mark.parametrize(
    ("fields", "said", "message"),
    [
        (SHAPES[0], BadReference(is_image=True), "A file of input.image_urls could not be used."),
        (
            SHAPES[0],
            BadReference(fault=ReferenceFault.NOT_FETCHED),
            "A file of input.image_urls or input.video_urls or input.audio_urls could not be downloaded.",
        ),
        (
            SHAPES[0],
            BadReference(position=99, is_image=True),
            "A file of input.image_urls could not be used.",
        ),
        (SHAPES[2], BadReference(), "input.image_urls[0] could not be used."),
        (
            SHAPES[3],
            BadReference(fault=ReferenceFault.NOT_READABLE),
            "A file of input.start_image_url or input.end_image_url could not be read.",
        ),
        (
            SHAPES[1],
            BadReference(position=0, fault=ReferenceFault.OUT_OF_BOUNDS),
            "input.video_url is outside of what the model takes.",
        ),
        ({}, BadReference(position=3), "A reference file could not be used."),
    ],
)
def test_what_is_not_said_is_narrowed_down(fields: dict[str, Any], said: BadReference, message: str) -> None:
    refused = Refused(kind=RefusalKind.INPUT_MEDIA, reference=said)
    job = failed_for(refused, job_of(nested(fields), "seedancee2"))

    assert shown(job)["message"].startswith(f"{message} Check ")


def test_a_new_job_is_stored_with_all_its_columns() -> None:
    job = job_of(nested(SHAPES[0]), "seedancee2")

    row = job_to_row(job)

    assert {name: [value] for name, value in row.items()}.items() <= creation_values(
        [(job, CAPS_DEFAULT)]
    ).items()


async def stored_and_told(world: World) -> tuple[Job, dict[str, Any]]:
    """The job as a poll reads it, and what its webhook says of the error."""
    bodies = [json.loads(bytes(event["body"])) for event in await world.sql("SELECT body FROM outbox")]
    [error] = [body["data"]["error"] for body in bodies if "error" in body["data"]]
    return await world.job(), error


@pytest.mark.parametrize("when", ["submitted", "checked"])
@pytest.mark.parametrize(("contract", "parse", "prefix"), CONTRACTS)
async def test_the_file_is_kept_with_the_job(
    jobs_pool: Pool, contract: str, parse: Callable[[dict[str, Any]], NewJob], prefix: str, when: str
) -> None:
    wanted = parse(SHAPES[0])
    world = await open_world(jobs_pool, job_of(wanted, contract))
    refused = said_of(SHAPES[0]["video_urls"][2], wanted)
    if when == "submitted":
        world.provider.submit_error = RefusedError(refused)
        failing = await world.submit(await world.begin(await world.claim()))
    else:
        await world.submitted()
        world.provider.answers = [refused]
        failing = await world.check(await world.claim())
    assert failing is not None

    # Another worker ends it, who knows only what is stored.
    await world.refund(await world.claim())

    job, told = await stored_and_told(world)
    assert shown(job) == told
    assert (told["code"], told["message"]) == ("input_media_error", f"{prefix}video_urls[2] {DOWNLOADED}")


async def test_a_job_of_before_still_says_what_it_said(jobs_pool: Pool) -> None:
    world = await open_world(jobs_pool, replace(a_job(), reference_fields=()))
    world.provider.submit_error = RefusedError(
        Refused(kind=RefusalKind.INPUT_MEDIA, reference=BadReference(position=0))
    )
    await world.submit(await world.begin(await world.claim()))
    await world.refund(await world.claim())

    job, told = await stored_and_told(world)
    assert shown(job) == told
    assert told["message"] == FAILURE_MESSAGE[FailureCode.INPUT_MEDIA_ERROR]

"""The edge prints metadata as we print it ourselves: the same digits, the same order, in every answer."""

import json
import random  # noqa: TID251 - seeded: every run draws the same
import struct
from typing import Any

import pytest
from reelgate.models.v1 import models_service_pb2
from reelgate.video.v1 import video_service_pb2

from services.jobs.convert.json_text import compact_json
from services.jobs.convert.metadata import place_of
from services.jobs.convert.seedancee2 import render_video, video_fields
from services.jobs.domain.job import Job
from tests.e2e.edge.client import send
from tests.e2e.edge.upstream import Context, Upstream
from tests.e2e.edge_process import RunningEdge
from tests.unit.jobs.samples import a_job
from tests.unit.jobs.test_metadata_comes_back import EDGES, WORDS, a_number, an_object, in_order

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
NUMBERS = 1_000
JOBS = 40


def a_job_with(metadata: dict[str, Any]) -> Job:
    return a_job(metadata_json=json.dumps(metadata))


async def polled(edge: RunningEdge, upstream: Upstream, job: Job) -> str:
    async def answer(_request: object, _context: Context) -> video_service_pb2.GetVideoResponse:
        return video_service_pb2.GetVideoResponse(data=render_video(job))

    upstream.behaviors["GetVideo"] = answer
    found = await send(edge, "GET", f"{VIDEOS}/{job.id}")
    assert found.status == 200
    return found.body.decode()


async def test_numbers_have_the_digits_that_streams_and_webhooks_give_them(
    edge: RunningEdge, upstream: Upstream
) -> None:
    dice = random.Random(21)
    numbers = [*EDGES, *(a_number(dice) for _ in range(NUMBERS))]
    job = a_job_with({"numbers": numbers})

    body = await polled(edge, upstream, job)

    assert body == compact_json({"data": video_fields(job)})
    assert [
        struct.pack("<d", float(text)) for text in body.partition("[")[2].partition("]")[0].split(",")
    ] == [struct.pack("<d", number) for number in numbers]


async def test_keys_have_one_order_at_every_depth(edge: RunningEdge, upstream: Upstream) -> None:
    dice = random.Random(22)
    for _ in range(JOBS):
        job = a_job_with(an_object(dice))

        body = json.loads(await polled(edge, upstream, job))

        assert body == {"data": video_fields(job)}
        assert in_order(body["data"].get("metadata"))
        # The order within an object says more than equality does.
        assert json.dumps(body["data"]["metadata"]) == json.dumps(
            json.loads(compact_json(video_fields(job)["metadata"]))
        )


async def test_lists_have_the_order_too(edge: RunningEdge, upstream: Upstream) -> None:
    async def answer(_request: object, _context: Context) -> video_service_pb2.ListVideosResponse:
        job = a_job_with(dict.fromkeys(reversed(WORDS), 1))
        return video_service_pb2.ListVideosResponse(data=[render_video(job)] * 3)

    upstream.behaviors["ListVideos"] = answer

    listed = (await send(edge, "GET", VIDEOS)).json["data"]

    assert [list(video["metadata"]) for video in listed] == [sorted(WORDS, key=place_of)] * 3


async def test_other_maps_have_an_order_as_well(edge: RunningEdge, upstream: Upstream) -> None:
    rates = {f"{height}p": float(height) for height in range(100, 2000, 100)}

    async def answer(_request: object, _context: Context) -> models_service_pb2.GetModelResponse:
        found = models_service_pb2.GetModelResponse()
        found.data.credits_per_second.update(rates)
        return found

    upstream.behaviors["GetModel"] = answer

    shown = (await send(edge, "GET", "/v1/models/pro")).json["data"]["credits_per_second"]

    assert list(shown) == sorted(rates, key=place_of)

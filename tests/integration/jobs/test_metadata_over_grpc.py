"""Metadata of callers who speak gRPC, whose numbers no JSON reader has seen."""

import math
from collections.abc import AsyncIterator

import pytest
from google.protobuf.struct_pb2 import Struct
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest
from reelgate.video.v1.video_pb2 import VideoInput
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.postgres.database import Pool
from tests.integration.jobs.api import Api, Refusal, running_api

WHOLE_MAX = 2**53 - 1


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


def _requests(number: float) -> list[tuple[str, str, CreateVideoRequest | CreateJobRequest]]:
    """Returns contract, method and request of each way to create."""
    metadata = Struct()
    metadata.update({"order": {"ids": [1, number]}})
    video = CreateVideoRequest(model="mini", input=VideoInput(prompt="Waves"), metadata=metadata)
    job = CreateJobRequest(model="seedance-2.0-mini", prompt="Waves", metadata=metadata)
    return [("seedancee2", "Video.CreateVideo", video), ("nextapi", "Job.CreateJob", job)]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 2.0**53, -(2.0**53), 1e21])
async def test_a_number_that_would_come_back_as_another_is_refused_and_nothing_is_held(
    api: Api, number: float
) -> None:
    for contract, method, request in _requests(number):
        with pytest.raises(Refusal) as refused:
            await api.call(method, request, key=api.add_key(contract=contract, account_id=contract))

        assert refused.value.http_status == 400
        assert refused.value.message.startswith("Field metadata.order.ids[1] ")
        assert "write it as text" in refused.value.message
    assert api.ledger.amount == {}


@pytest.mark.parametrize("number", [WHOLE_MAX, -WHOLE_MAX, 0.1, 1e-300])
async def test_every_other_number_is_the_same_in_a_poll(api: Api, number: float) -> None:
    for contract, method, request in _requests(number):
        key = api.add_key(contract=contract, account_id=contract)
        created = await api.call(method, request, key=key)
        job_id = created.get("data", created)["id"]

        polled = await api.call(method.replace("Create", "Get"), {"id": job_id}, key=key)

        assert polled.get("data", polled)["metadata"] == {"order": {"ids": [1, number]}}

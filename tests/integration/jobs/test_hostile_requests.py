"""What a request may hold is decided once it is known who sent it, and before anything else is done about it."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from services.common.postgres.database import Pool
from services.common.rpc.server import PUBLIC_REQUEST_BYTES_MAX, UNREAD_BYTES_MAX
from tests.integration.jobs.api import RICH_MICROS, Api, Refusal, running_api

BODY: dict[str, Any] = {"model": "mini", "input": {"prompt": "waves"}}
HOSTILE = {**BODY, "metadata": {"a": [0] * 40_000}}


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


async def _refusal(api: Api, method: str, fields: dict[str, Any], key: str | None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await api.call(method, fields, key=key)
    return refused.value


@pytest.mark.parametrize("method", ["Video.CreateVideo", "Video.EstimateVideo", "Job.CreateJob"])
async def test_too_much_metadata_is_refused_before_anything_is_held(api: Api, method: str) -> None:
    of_nextapi = method == "Job.CreateJob"
    key = api.add_key(contract="nextapi" if of_nextapi else "seedancee2")
    fields = {"model": "seedance-2.0-mini", "prompt": "waves", "metadata": HOSTILE["metadata"]}

    refused = await _refusal(api, method, fields if of_nextapi else HOSTILE, key)

    assert refused.http_status == 400
    assert refused.message == "Field metadata must hold at most 2000 values."
    assert api.ledger.available_micros["acct_1", "live"] == RICH_MICROS


@pytest.mark.parametrize("fields", [HOSTILE, {**HOSTILE, "metadata": {"a": [0] * 100_000}}])
async def test_who_has_no_key_is_told_so_and_nothing_else(api: Api, fields: dict[str, Any]) -> None:
    refused = await _refusal(api, "Video.CreateVideo", fields, None)

    assert refused.http_status == 401


async def test_what_is_larger_than_any_request_is_refused_unread(api: Api) -> None:
    fields = {**BODY, "metadata": {"a": "x" * PUBLIC_REQUEST_BYTES_MAX}}

    refused = await _refusal(api, "Video.CreateVideo", fields, api.add_key())

    assert refused.http_status == 400
    assert refused.message == "The request is too large: as a message it may have 512 KiB. Send less."


async def test_what_no_body_can_become_is_not_even_received(api: Api) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await api.stubs["Video"].CreateVideo(CreateVideoRequest(model="x" * UNREAD_BYTES_MAX))

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

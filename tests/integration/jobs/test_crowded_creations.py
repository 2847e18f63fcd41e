"""More creations than a process takes in, over real gRPC: who is too many is told so at once, and pays and stores nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from services.common.postgres.database import Pool
from services.common.rpc.overload import INSIDE_MAX
from services.jobs.domain.requests import Buyer, NewJob
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.patience import PATIENCE_SECONDS

VIDEO = {"model": "mini", "input": {"prompt": "waves"}}
JOB = {"model": "mini", "prompt": "waves"}


@dataclass
class Stalled:
    """A moderation that answers when it is told to."""

    begun: int = 0
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def judge(self, wanted: NewJob, buyer: Buyer, job_id: str) -> str:
        self.begun += 1
        await self.going_on.wait()
        return "off"

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.begun < count:  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.01)


@pytest.fixture
def stalled() -> Stalled:
    return Stalled()


@pytest.fixture
async def api(jobs_pool: Pool, stalled: Stalled) -> AsyncIterator[Api]:
    async with running_api(jobs_pool, moderate=stalled.judge) as running:
        yield running


async def _refused(api: Api, method: str, fields: dict[str, Any], *, key: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await api.call(method, fields, key=key)
    return refused.value


def _retry_seconds(refusal: Refusal) -> int:
    error = refusal.__cause__
    assert isinstance(error, grpc.aio.AioRpcError)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    trailers: dict[str, Any] = dict(cast("Any", error.trailing_metadata()))
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert [detail.Unpack(retry) for detail in status.details] == [False, True]
    assert int(trailers["retry-after"]) == retry.retry_delay.seconds
    return int(retry.retry_delay.seconds)


async def test_what_is_too_much_is_refused_in_either_contract_and_what_was_taken_in_is_done_once(
    api: Api, stalled: Stalled
) -> None:
    loud = api.add_key()
    quiet = api.add_key(account_id="acct_2"), api.add_key(account_id="acct_3", contract="nextapi")
    inside = [asyncio.create_task(api.call("Video.CreateVideo", VIDEO, key=loud)) for _ in range(INSIDE_MAX)]
    await stalled.until_begun(INSIDE_MAX)

    video = await _refused(api, "Video.CreateVideo", VIDEO, key=quiet[0])
    job = await _refused(api, "Job.CreateJob", JOB, key=quiet[1])
    polled = await api.call("Video.ListVideos", key=loud)
    stalled.going_on.set()
    created = await asyncio.gather(*inside)
    after = await api.call("Video.CreateVideo", VIDEO, key=quiet[0])

    message = "Too many tasks are being created at the moment. Try again in 1 s."
    assert video.envelope == {"error": {"code": "internal_error", "message": message, "type": "api_error"}}
    assert job.envelope == {"error": {"code": "internal_error", "message": message}}
    assert [(each.http_status, _retry_seconds(each)) for each in (video, job)] == [(503, 1)] * 2
    assert polled["data"] == []
    ids = {answer["data"]["id"] for answer in (*created, after)}
    assert len(ids) == INSIDE_MAX + 1
    assert api.ledger.amount.keys() == ids
    assert stalled.begun == INSIDE_MAX + 1


async def test_nobody_is_looked_up_who_could_not_be_let_in_anyway(api: Api, stalled: Stalled) -> None:
    key = api.add_key()
    inside = [asyncio.create_task(api.call("Video.CreateVideo", VIDEO, key=key)) for _ in range(INSIDE_MAX)]
    await stalled.until_begun(INSIDE_MAX)
    waiting = [asyncio.create_task(_refused(api, "Video.CreateVideo", VIDEO, key=key)) for _ in range(3)]
    await asyncio.gather(*waiting)
    stranger = api.add_key(account_id="acct_2")
    del api.callers[list(api.callers)[-1]]

    refused = await _refused(api, "Video.CreateVideo", VIDEO, key=stranger)
    stalled.going_on.set()
    await asyncio.gather(*inside)

    assert refused.http_status == 503
    assert (await _refused(api, "Video.CreateVideo", VIDEO, key=stranger)).http_status == 401

"""Deleting through the edge: the files of an ended task are gone, its record is not."""

import asyncio
import time
from typing import Any

import pytest

from tests.e2e.customer import SMALL, VIDEOS, Customer, data_of, open_customer
from tests.e2e.edge.client import assert_refused
from tests.e2e.local_stack import Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"


async def until_gone(customer: Customer, *urls: str) -> None:
    """Waits until the media host has none of these files."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for url in urls:
        while (await customer.send("GET", url[url.index("/media/") :])).status != 404:
            assert time.monotonic() < deadline, url
            await asyncio.sleep(0.1)


async def test_a_deleted_video_has_no_files_and_no_metadata(stack: Stack) -> None:
    account = stack.create_account("delete", credits_each="100")
    wanted = {"model": "mini", "input": {"prompt": "waves", **SMALL}, "metadata": {"a": 1}}
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        video = await customer.create(wanted)
        path = f"{VIDEOS}/{video['id']}"
        early = await customer.send("DELETE", path)
        assert early.status == 409
        assert "Cancel it first" in early.json["error"]["message"]
        shown = data_of(await customer.until(video["id"], {"completed"}, seconds=PATIENCE_SECONDS))

        for _ in range(2):
            assert data_of(await customer.send("DELETE", path)) == {"id": video["id"], "deleted": True}

        await until_gone(customer, shown["output"]["video_url"], shown["output"]["thumbnail_url"])
        assert shown.pop("metadata") == {"a": 1}
        assert await customer.get(path) == shown
        usage = await customer.get("/v1/usage")
        assert usage["summary"]["credits_charged"] == shown["credits_charged"] == 20


async def test_a_deleted_job_of_nextapi_has_no_files(stack: Stack) -> None:
    account = stack.create_account("nextapi-delete", credits_each="1", contract="nextapi")
    wanted = {"model": "seedance-2.0-mini", "prompt": "waves", "duration_seconds": 4, "resolution": "480p"}
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        created = (await customer.send("POST", JOBS, wanted)).json
        path = f"{JOBS}/{created['id']}"
        shown: dict[str, Any] = {}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while shown.get("status") != "succeeded":
            assert time.monotonic() < deadline, shown
            shown = (await customer.send("GET", f"{path}?wait=5")).json

        answer = await customer.send("DELETE", path)

        assert (answer.status, answer.json) == (200, {"id": created["id"], "deleted": True})
        await until_gone(customer, shown["video_url"])
        assert (await customer.send("GET", path)).json == shown


async def test_an_unknown_video_cannot_be_deleted(stack: Stack) -> None:
    account = stack.create_account("delete-nothing", credits_each="1")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        unknown = "vid_01jz8b7q4x8k2p9w3m5c6n7r8s"
        answer = await customer.send("DELETE", f"{VIDEOS}/{unknown}")
        assert_refused(answer, 404, f'There is no task "{unknown}".', code="task_not_found")

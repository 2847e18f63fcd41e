"""Which of the files of a request could not be used, as customers of both contracts learn it."""

import asyncio
import json
from typing import Any

import pytest

from tests.e2e.customer import VIDEOS, Customer, open_customer
from tests.e2e.local_stack import Stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"
RULE = "could not be downloaded. Check that its address is public and answers with the file."
FRAMES = {"generation_type": "first_and_last_frames"}


def requests(receiver: Receiver) -> dict[str, dict[str, Any]]:
    """Fields of requests, by the one that holds a file that cannot be had."""
    good, bad = receiver.image("red"), receiver.image("no-such-colour")
    return {
        "image_urls[0]": {"image_urls": [bad]},
        "image_urls[2]": {"image_urls": [good, good, bad]},
        "image_urls[8]": {"image_urls": [good] * 8 + [bad]},
        "start_image_url": {**FRAMES, "start_image_url": bad, "end_image_url": good},
        "end_image_url": {**FRAMES, "start_image_url": good, "end_image_url": bad},
        "image_urls[1]": {**FRAMES, "image_urls": [good, bad]},
    }


async def ended(customer: Customer, url: str) -> Any:
    """The task once it has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = (await customer.send("GET", f"{url}?wait=10")).json
            found = answer.get("data", answer)
            if found["status"] in {"failed", "completed", "succeeded"}:
                return found


async def told(receiver: Receiver, hook: str, event: str) -> Any:
    """The error in the last webhook."""
    count = 1
    while True:
        body = json.loads((await receiver.several(hook, count, seconds=PATIENCE_SECONDS))[-1].body)
        if body.get("type", event) == event:
            return body["data"]["error"]
        count += 1


async def test_polls_and_webhooks_name_the_file(stack: Stack, receiver: Receiver) -> None:
    account = stack.create_account("unusable", credits_each="1000")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        for field, fields in requests(receiver).items():
            hook = f"unusable-{field}"
            wanted = {"prompt": "waves", "duration": 4, "resolution": "480p", **fields}
            body = {"model": "mini", "callback_url": receiver.hook(hook), "input": wanted}
            created = await customer.create(body)

            video = await ended(customer, f"{VIDEOS}/{created['id']}")

            expected = {
                "code": "input_media_error",
                "message": f"input.{field} {RULE}",
                "type": "generation_error",
            }
            assert video["error"] == expected
            assert await told(receiver, hook, "") == expected
            assert video["credits_refunded"] == created["credits_reserved"]


async def test_the_other_contract_names_its_own_fields(stack: Stack, receiver: Receiver) -> None:
    account = stack.create_account("unusable-nextapi", credits_each="1000", contract="nextapi")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        for field, fields in requests(receiver).items():
            hook = f"unusable-nextapi-{field}"
            wanted = {"prompt": "waves", "duration_seconds": 4, "resolution": "480p", **fields}
            body = {"model": "seedance-2.0-mini", "webhook_url": receiver.hook(hook), **wanted}
            created = (await customer.send("POST", JOBS, body)).json

            job = await ended(customer, f"{JOBS}/{created['id']}")

            expected = {"code": "input_media_error", "message": f"{field} {RULE}"}
            assert job["error"] == expected
            assert await told(receiver, hook, "job.failed") == expected

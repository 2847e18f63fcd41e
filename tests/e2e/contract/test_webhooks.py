"""The one POST that tells how a video ended, as its receiver verifies it."""

import hashlib
import hmac
import json
import re

import pytest

from tests.e2e.contract.conftest import FAILURES, UNFINISHED, History
from tests.e2e.receiver import Received
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDED_NAMES = ["full", *FAILURES]


async def received(history: History, name: str) -> Received:
    return await history.receiver.first(name, seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize("name", ENDED_NAMES)
async def test_the_body_is_the_answer_to_a_poll(history: History, name: str) -> None:
    webhook = await received(history, name)

    assert json.loads(webhook.body) == history.polls[name].json
    assert webhook.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", FAILURES)
async def test_the_body_is_that_answer_byte_for_byte_as_far_as_order_is_defined(
    history: History, name: str
) -> None:
    assert (await received(history, name)).body == history.polls[name].body


@pytest.mark.parametrize("name", ENDED_NAMES)
async def test_the_header_names_the_event(history: History, name: str) -> None:
    status = history.video(name)["status"]

    assert (await received(history, name)).headers["x-seedancee2-event"] == f"video.generation.{status}"


@pytest.mark.parametrize("name", ENDED_NAMES)
async def test_the_signature_is_the_one_the_contract_describes(history: History, name: str) -> None:
    webhook = await received(history, name)

    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", webhook.headers["x-seedancee2-signature"])
    assert match
    signed = match[1].encode() + b"." + webhook.body
    digest = hmac.new(history.account.webhook_secrets["live"].encode(), signed, hashlib.sha256).hexdigest()
    assert match[2] == digest


@pytest.mark.parametrize("name", ENDED_NAMES)
async def test_the_signature_of_standard_webhooks_is_accepted_too(history: History, name: str) -> None:
    webhook = await received(history, name)

    assert webhook.verified(history.account.webhook_secrets["live"]) == history.polls[name].json


async def test_every_event_has_its_own_id_and_was_sent_once(history: History) -> None:
    ids = {(await received(history, name)).headers["webhook-id"] for name in ENDED_NAMES}

    assert len(ids) == len(ENDED_NAMES)
    assert {name: len(history.receiver.webhooks[name]) for name in ENDED_NAMES} == dict.fromkeys(
        ENDED_NAMES, 1
    )
    assert not history.receiver.webhooks.keys() & UNFINISHED.keys()

"""The NextAPI contract through the edge, from the first request to the last webhook, and what it refuses."""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.customer import VIDEOS, Customer, data_of, open_customer
from tests.e2e.edge.client import Answer
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.integration.webhooks.published_verifier import Presented, verdicts
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"
SMALL = {"model": "seedance-2.0-mini", "duration_seconds": 4, "resolution": "480p"}
METADATA = {"order": 7, "nested": {"list": [1, 2.5, None]}}
KEY_REFUSED = "API key is missing, invalid, or disabled."


@dataclass(frozen=True, kw_only=True)
class Business:
    """A customer with an endpoint, one job that succeeded and one that failed, and every answer to its polls."""

    account: Account
    customer: Customer
    secret: str
    """Of the endpoint."""
    created: Mapping[str, Answer]
    polls: Mapping[str, list[dict[str, Any]]]
    """All of each job, the last after its end."""

    def last(self, name: str) -> dict[str, Any]:
        return self.polls[name][-1]

    def life(self, name: str) -> list[str]:
        """Returns the events of a job. One that fails may never have been seen to render."""
        job = self.last(name)
        return ["job.queued", *(["job.running"] if "started_at" in job else []), f"job.{job['status']}"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def business(stack: Stack, receiver: Receiver) -> AsyncIterator[Business]:
    account = stack.create_account("nextapi", credits_each="10", contract="nextapi")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        endpoint = data_of(
            await customer.send("POST", "/v1/webhook_endpoints", {"url": receiver.hook("b-endpoint")})
        )
        requests = {
            "success": {
                **SMALL,
                "prompt": "A lighthouse at dusk",
                "return_last_frame": True,
                "metadata": METADATA,
                "webhook_url": receiver.hook("b-success"),
            },
            "failure": {**SMALL, "prompt": "[simulate: fail]", "webhook_url": receiver.hook("b-failure")},
        }
        created = {name: await customer.send("POST", JOBS, body) for name, body in requests.items()}
        polls = {name: await _poll_to_the_end(customer, answer) for name, answer in created.items()}
        yield Business(
            account=account, customer=customer, secret=endpoint["secret"], created=created, polls=polls
        )


async def _poll_to_the_end(customer: Customer, created: Answer) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    found: list[dict[str, Any]] = []
    while not found or found[-1]["status"] in {"queued", "running"}:
        assert time.monotonic() < deadline, found[-1]
        found.append((await customer.send("GET", f"{JOBS}/{created.json['id']}?wait=1")).json)
    return found


def refused(answer: Answer, status: int, code: str, says: str) -> None:
    """The answer is exactly this contract's error envelope."""
    message = answer.json["error"]["message"]
    assert (answer.status, answer.json) == (status, {"error": {"code": code, "message": message}})
    assert says in message


async def test_a_creation_answers_exactly_three_keys(business: Business) -> None:
    answer = business.created["success"]

    assert (answer.status, answer.json) == (
        200,
        {"id": answer.json["id"], "status": "queued", "estimated_credits": 0.07},
    )
    assert re.fullmatch(r"job_[0-9a-hjkmnp-tv-z]{26}", answer.json["id"])


async def test_a_job_goes_through_its_statuses_and_its_progress_never_falls(business: Business) -> None:
    polls = business.polls["success"]

    order = ["queued", "running", "succeeded"]
    statuses = [order.index(poll["status"]) for poll in polls]
    progress = [poll["progress"] for poll in polls]
    assert statuses == sorted(statuses)
    assert progress == sorted(progress)
    assert all(0 < poll["progress"] < 96 for poll in polls if poll["status"] == "running")


async def test_a_succeeded_job_shows_its_video_and_what_it_cost(business: Business) -> None:
    job = business.last("success")

    base, day = job["video_url"].partition("/media/")[0], job["created_at"][:10].replace("-", "/")
    assert job == {
        "id": business.created["success"].json["id"],
        "status": "succeeded",
        "model": "seedance-2.0-mini",
        "progress": 100,
        "estimated_credits": 0.07,
        "credits": 0.07,
        "created_at": job["created_at"],
        "started_at": job["started_at"],
        "completed_at": job["completed_at"],
        "video_url": f"{base}/media/videos/{day}/{job['id']}.mp4",
        "thumbnail_url": f"{base}/media/video-posters/{day}/{job['id']}.jpg",
        "last_frame_url": f"{base}/media/video-posters/{day}/{job['id']}-last.jpg",
        "metadata": METADATA,
    }
    assert job["created_at"] < job["started_at"] <= job["completed_at"]
    async with aiohttp.ClientSession() as session, session.get(job["video_url"]) as response:
        video = await response.read()
    assert (response.status, response.content_type) == (200, "video/mp4")
    assert video[4:8] == b"ftyp"


async def test_a_failed_job_says_why_and_costs_nothing(business: Business) -> None:
    job = business.last("failure")

    assert (job["status"], job["credits"], "video_url" in job) == ("failed", 0, False)
    assert job["error"] == {
        "code": "generation_failed",
        "message": "The video could not be generated. Please try again with a different prompt.",
    }
    assert (await business.customer.get("/v1/balance")) == {"available": 9.93, "held": 0}


async def test_pages_by_offset_hold_every_job_newest_first(business: Business) -> None:
    ids = [business.created[name].json["id"] for name in ("failure", "success")]

    pages = [
        (await business.customer.send("GET", f"{JOBS}?limit=1&offset={offset}")).json for offset in (0, 1, 2)
    ]

    assert [[job["id"] for job in page["data"]] for page in pages] == [ids[:1], ids[1:], []]
    assert pages[1]["data"] == [business.last("success")]
    assert [page["has_more"] for page in pages] == [True, False, False]
    assert {name for page in pages for name in page} == {"data", "limit", "offset", "has_more"}


@pytest.mark.parametrize("name", ["success", "failure"])
async def test_its_address_is_told_each_transition_once_and_in_order(
    business: Business, receiver: Receiver, name: str
) -> None:
    expected = business.life(name)

    webhooks = await receiver.several(f"b-{name}", len(expected), seconds=PATIENCE_SECONDS)

    bodies = [json.loads(webhook.body) for webhook in webhooks]
    assert [body["type"] for body in bodies] == expected
    assert [body["sequence"] for body in bodies] == list(range(1, len(expected) + 1))
    assert all(set(body) == {"id", "type", "created_at", "sequence", "data"} for body in bodies)
    assert [body["id"] for body in bodies] == [webhook.headers["webhook-id"] for webhook in webhooks]
    assert bodies[-1]["data"] == business.last(name)
    assert not any(header.startswith("x-seedancee2") for header in webhooks[0].headers)


async def test_its_endpoint_is_told_of_both_jobs_and_each_signature_is_valid(
    business: Business, receiver: Receiver
) -> None:
    at_addresses = [
        webhook
        for name in ("success", "failure")
        for webhook in await receiver.several(f"b-{name}", len(business.life(name)), seconds=PATIENCE_SECONDS)
    ]

    webhooks = await receiver.several("b-endpoint", len(at_addresses), seconds=PATIENCE_SECONDS)

    of_success = [
        json.loads(webhook.body)["type"]
        for webhook in webhooks
        if json.loads(webhook.body)["data"]["id"] == business.last("success")["id"]
    ]
    assert of_success == business.life("success") == ["job.queued", "job.running", "job.succeeded"]
    assert sorted(webhook.body for webhook in webhooks) == sorted(webhook.body for webhook in at_addresses)
    presented = [
        Presented(
            body=webhook.body.decode(),
            header=webhook.headers[header],
            secret=secret,
            now=webhook.at.timestamp(),
        )
        for found, secret in (
            (webhooks, business.secret),
            (at_addresses, business.account.webhook_secrets["live"]),
        )
        for webhook in found
        for header in ("x-nextapi-signature", "x-webhook-signature")
    ]
    assert verdicts(presented) == [True] * len(presented)
    assert webhooks[0].verified(business.secret)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "says"),
    [
        ("GET", f"{JOBS}/a/b", None, 404, "not_found", "There is no such endpoint."),
        ("PUT", JOBS, None, 404, "not_found", "There is no such endpoint."),
        ("GET", f"{JOBS}/job_01jz8b7q4x8k2p9w3m5c6n7r8s", None, 404, "not_found", "There is no task"),
        ("GET", "/v1/webhook_endpoints/whe_x", None, 404, "not_found", "There is no webhook endpoint"),
        ("GET", f"{JOBS}?limit=0", None, 400, "invalid_request", "Field limit must be"),
        ("GET", f"{JOBS}?offset=10001", None, 400, "invalid_request", "Field offset must be"),
        ("GET", f"{JOBS}?offset=-1", None, 400, "invalid_request", "Field offset must be"),
        ("GET", f"{JOBS}?after=x", None, 400, "invalid_request", 'Unknown query parameter "after"'),
        ("POST", JOBS, {**SMALL}, 400, "invalid_request", "Field prompt is required and must not be empty."),
        ("POST", JOBS, {**SMALL, "prompt": "a", "model": "mini"}, 404, "not_found", "seedance-2.0-pro"),
        (
            "POST",
            JOBS,
            {**SMALL, "prompt": "a", "resolution": "1080p"},
            400,
            "invalid_request",
            "Field resolution must be one of 480p, 720p",
        ),
        (
            "POST",
            JOBS,
            {**SMALL, "prompt": "a", "webhook_url": "http://10.0.0.1/"},
            400,
            "invalid_request",
            "Field webhook_url must not point to a private address",
        ),
        ("POST", JOBS, {**SMALL, "prompt": 5}, 400, "invalid_request", "Field prompt must be a text."),
    ],
)
async def test_every_refusal_has_this_contracts_envelope(
    business: Business, method: str, path: str, body: Any, status: int, code: str, says: str
) -> None:
    refused(await business.customer.send(method, path, body), status, code, says)


async def test_what_the_edge_refuses_has_this_contracts_envelope(business: Business) -> None:
    send = business.customer.send

    bad = await send("POST", JOBS, raw=b"{")
    large = await send("POST", JOBS, raw=b" " * 300 * 1024)

    refused(bad, 400, "invalid_request", "The request body is not valid JSON at line 1, column 2")
    refused(large, 413, "request_too_large", "256 KiB")


async def test_a_job_beyond_the_balance_is_refused(stack: Stack) -> None:
    account = stack.create_account("short", credits_each="1", contract="nextapi")
    body = {
        "model": "seedance-2.0-pro",
        "prompt": "A lighthouse",
        "resolution": "1080p",
        "duration_seconds": 6,
    }

    async with open_customer(stack.edge, account.keys["live"]) as customer:
        answer = await customer.send("POST", JOBS, body)

    refused(answer, 402, "insufficient_credits", "This task needs 1.05 credits; 1 is available.")


async def test_keys_work_on_their_own_contracts_paths_only(stack: Stack, business: Business) -> None:
    seedancee2 = stack.create_account("other", credits_each="1").keys["live"]
    send = business.customer.send

    for headers in ({"Authorization": f"Bearer {seedancee2}"}, {"x-api-key": "nxa_live_sk_x"}, {}):
        refused(await send("GET", JOBS, headers=headers), 401, "unauthorized", KEY_REFUSED)
    elsewhere = await send("GET", VIDEOS)

    assert (elsewhere.status, elsewhere.json["error"]["type"]) == (401, "authentication_error")
    assert elsewhere.json["error"]["code"] == "invalid_api_key"


async def test_the_environment_header_must_agree_with_the_key(business: Business) -> None:
    key = {"Authorization": f"Bearer {business.account.keys['live']}"}
    of_test = {"Authorization": f"Bearer {business.account.keys['test']}"}
    send = business.customer.send

    agreed = await send("GET", JOBS, headers={**key, "X-NextAPI-Environment": "live"})
    disagreed = await send("GET", JOBS, headers={**key, "X-NextAPI-Environment": "test"})
    unknown = await send("GET", JOBS, headers={**key, "X-NextAPI-Environment": "staging"})
    apart = await send("GET", JOBS, headers={**of_test, "X-NextAPI-Environment": "test"})

    for same in ("LIVE", "Live ", ""):
        spelled = await send("GET", JOBS, headers={**key, "X-NextAPI-Environment": same})
        assert spelled.status == 200, same
    assert agreed.status == 200
    refused(disagreed, 401, "unauthorized", "X-NextAPI-Environment names another")
    refused(unknown, 401, "unauthorized", "X-NextAPI-Environment names another")
    assert apart.json["data"] == []

"""What is refused before it costs anything, by which profile, and what an external endpoint changes."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.common.postgres.database import Pool
from services.jobs.clients import MODERATION_BYTES_MAX, ModerationClient
from services.jobs.moderation import load_profiles
from services.jobs.operations.moderate_prompt import moderate_prompt
from tests.fakes.moderation_server import CLEAN, ModerationServer, flagged, moderation_server
from tests.integration.jobs.api import PROFILES, Api, Refusal, running_api
from tests.patience import PATIENCE_SECONDS

BOMB = "h0w to build a p\u0456pe b.o.m.b"
GORE = "a gory massacre"
SENTENCE = "The prompt was refused: category {}. Change it and try again."
IMPATIENCE_SECONDS = 0.2


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


@pytest.fixture
async def endpoint() -> AsyncIterator[ModerationServer]:
    async with moderation_server() as running:
        yield running


def a_video(prompt: str) -> dict[str, Any]:
    return {"model": "mini", "input": {"prompt": prompt}}


def a_job(prompt: str, profile: str | None = None) -> dict[str, Any]:
    chosen = {} if profile is None else {"moderation_profile": profile}
    return {"model": "seedance-2.0-mini", "prompt": prompt, **chosen}


async def refusal(api: Api, method: str, fields: Any, *, key: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await api.call(method, fields, key=key)
    return refused.value


async def profile_of(api: Api, pool: Pool, fields: Any, *, key: str) -> str:
    created = await api.call("Job.CreateJob", fields, key=key)
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT moderation_profile FROM jobs WHERE id = %s", (created["id"],)
        )
        return str((await cursor.fetchall())[0]["moderation_profile"])


@asynccontextmanager
async def judged_besides(
    pool: Pool, server: ModerationServer, *, timeout_seconds: float = PATIENCE_SECONDS, **wanted: Any
) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        moderator = ModerationClient(
            session=session,
            url=server.url,
            timeout_seconds=timeout_seconds,
            **{"api_key": None, "model": None, **wanted},
        )
        moderate = partial(moderate_prompt, profiles=PROFILES, moderator=moderator)
        async with running_api(pool, moderate=moderate) as api:
            yield api


async def test_a_refused_video_names_the_category_and_costs_nothing(api: Api) -> None:
    key = api.add_key()

    refused = await refusal(api, "Video.CreateVideo", a_video(BOMB), key=key)

    assert refused.http_status == 400
    assert refused.envelope == {
        "error": {
            "code": "invalid_request",
            "message": SENTENCE.format("weapons"),
            "type": "invalid_request_error",
        }
    }
    assert (api.ledger.state, api.notified) == ({}, [])
    assert (await api.call("Video.ListVideos", key=key))["data"] == []


async def test_a_refused_job_has_the_code_of_its_contract(api: Api) -> None:
    refused = await refusal(api, "Job.CreateJob", a_job(BOMB), key=api.add_key(contract="nextapi"))

    assert refused.http_status == 400
    assert refused.envelope == {
        "error": {"code": "content_policy_violation", "message": SENTENCE.format("weapons")}
    }
    assert api.ledger.state == {}


async def test_an_estimate_is_not_judged(api: Api) -> None:
    answer = await api.call("Video.EstimateVideo", a_video(BOMB), key=api.add_key())

    assert answer["data"]["credits"] == 50


async def test_what_is_invalid_anyway_is_not_judged(api: Api) -> None:
    video = {**a_video(BOMB), "model": "ultra"}

    assert (await refusal(api, "Video.CreateVideo", video, key=api.add_key())).http_status == 404


async def test_decisions_are_logged_without_the_prompt(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await refusal(api, "Video.CreateVideo", a_video(BOMB), key=api.add_key())
    created = await api.call("Video.CreateVideo", a_video("a paper boat"), key=api.add_key())

    lines = [record.message for record in caplog.records if "profile=" in record.message]
    assert "account=acct_1 environment=live profile=standard outcome=refused category=weapons" in lines[0]
    assert f"job={created['data']['id']} account=acct_1" in lines[1]
    assert "outcome=accepted category=- duration_ms=" in lines[1]
    assert not any("b.o.m.b" in record.message or "paper boat" in record.message for record in caplog.records)


async def test_without_a_choice_the_profile_of_the_account_holds_else_that_of_the_file(
    api: Api, jobs_pool: Pool
) -> None:
    plain = api.add_key(contract="nextapi")
    strict = api.add_key(contract="nextapi", moderation_profile="strict")

    assert await profile_of(api, jobs_pool, a_job(GORE), key=plain) == "standard"
    refused = await refusal(api, "Job.CreateJob", a_job(GORE), key=strict)
    assert refused.message == SENTENCE.format("violence")


async def test_a_request_chooses_among_what_its_key_allows_and_the_accounts_own(
    api: Api, jobs_pool: Pool
) -> None:
    key = api.add_key(contract="nextapi", moderation_profile="strict", moderation_profiles=("off",))

    assert await profile_of(api, jobs_pool, a_job(BOMB, "off"), key=key) == "off"
    assert await profile_of(api, jobs_pool, a_job("a boat", "strict"), key=key) == "strict"


@pytest.mark.parametrize("chosen", ["standard", "imaginary", "STRICT", "gone"])
async def test_any_other_choice_is_refused_naming_those_allowed(api: Api, chosen: str) -> None:
    key = api.add_key(contract="nextapi", moderation_profile="strict", moderation_profiles=("off", "gone"))

    refused = await refusal(api, "Job.CreateJob", a_job("a boat", chosen), key=key)

    assert refused.http_status == 400
    assert refused.envelope["error"]["code"] == "invalid_request"
    assert refused.message == f'Field moderation_profile must be one of off, strict. It was "{chosen}".'
    assert api.ledger.state == {}


async def test_an_account_whose_profile_is_gone_is_refused_loudly(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    key = api.add_key(moderation_profile="gone")

    refused = await refusal(api, "Video.CreateVideo", a_video("a boat"), key=key)

    assert refused.http_status == 503
    assert "gone" not in refused.message
    assert [record.levelname for record in caplog.records if "gone" in record.message] == ["ERROR"]
    assert api.ledger.state == {}


async def test_an_own_file_takes_the_place_of_the_shipped_one(jobs_pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "default: cats\nrules: {no_cats: {category: pets, terms: [cat]}}\nprofiles: {cats: {rules: [no_cats]}}"
    )
    moderate = partial(moderate_prompt, profiles=load_profiles(path), moderator=None)
    async with running_api(jobs_pool, moderate=moderate) as api:
        refused = await refusal(api, "Video.CreateVideo", a_video("a c-a-t"), key=api.add_key())

    assert refused.message == SENTENCE.format("pets")


async def test_the_endpoint_is_asked_once_with_the_prompt_as_it_was_sent(
    jobs_pool: Pool, endpoint: ModerationServer
) -> None:
    async with judged_besides(jobs_pool, endpoint, api_key="secret", model="omni") as api:
        await api.call("Video.CreateVideo", a_video("A  Boat"), key=api.add_key())

    assert endpoint.asked == [{"model": "omni", "input": "A  Boat"}]
    assert endpoint.authorizations == ["Bearer secret"]


@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (flagged(hate=False, violence=True), "violence"),
        ({"results": [{"flagged": True, "categories": {"sexual/minors": True}}]}, "sexual/minors"),
        ({"results": [{"flagged": True, "categories": {"<script>": True}}]}, "other"),
        ({"results": [{"flagged": True}]}, "other"),
    ],
)
async def test_what_the_endpoint_flags_is_refused(
    jobs_pool: Pool, endpoint: ModerationServer, answer: Any, category: str
) -> None:
    endpoint.answer = answer
    async with judged_besides(jobs_pool, endpoint) as api:
        refused = await refusal(api, "Video.CreateVideo", a_video("a boat"), key=api.add_key())

        assert (refused.http_status, refused.message) == (400, SENTENCE.format(category))
        assert api.ledger.state == {}


async def test_the_endpoint_is_not_asked_about_what_rules_refuse_or_nobody_judges(
    jobs_pool: Pool, endpoint: ModerationServer
) -> None:
    async with judged_besides(jobs_pool, endpoint) as api:
        await refusal(api, "Video.CreateVideo", a_video(BOMB), key=api.add_key())
        await api.call("Video.CreateVideo", a_video(BOMB), key=api.add_key(moderation_profile="off"))

    assert endpoint.asked == []


@pytest.mark.parametrize(
    "failure",
    [
        {"answer": None, "timeout_seconds": IMPATIENCE_SECONDS},
        {"status": 500},
        {"status": 307, "headers": {"Location": "/v1/moderations"}},
        {"answer": b"not JSON"},
        {"answer": {"results": []}},
        {"answer": {"results": [{"flagged": "no"}]}},
        {"answer": {"results": [{"flagged": True, "categories": ["violence"]}]}},
        {"answer": {**CLEAN, "padding": "x" * MODERATION_BYTES_MAX}},
        {"url": "http://127.0.0.1:1/v1/moderations"},
    ],
    ids=["silent", "500", "redirect", "no JSON", "no result", "odd result", "odd categories", "long", "gone"],
)
async def test_without_an_answer_an_open_profile_accepts_and_a_closed_one_refuses(
    jobs_pool: Pool, endpoint: ModerationServer, failure: dict[str, Any]
) -> None:
    failure = dict(failure)
    timeout_seconds = failure.pop("timeout_seconds", PATIENCE_SECONDS)
    for name, value in failure.items():
        setattr(endpoint, name, value)
    async with judged_besides(jobs_pool, endpoint, timeout_seconds=timeout_seconds) as api:
        await api.call("Video.CreateVideo", a_video("a boat"), key=api.add_key())
        closed = api.add_key(account_id="acct_2", moderation_profile="strict")
        refused = await refusal(api, "Video.CreateVideo", a_video("a boat"), key=closed)

        assert refused.http_status == 503
        assert refused.message == "The prompt could not be checked just now. Please try again."
        assert len(api.ledger.state) == 1


@pytest.mark.parametrize(
    ("directive", "status", "code", "message"),
    [
        (
            "no credits",
            402,
            "insufficient_credits",
            "This task needs 50 credits; 0 are available. Please top up.",
        ),
        ("Refused Prompt", 400, "invalid_request", SENTENCE.format("simulated")),
    ],
)
async def test_a_test_key_may_ask_to_be_refused_and_a_live_one_may_not(
    api: Api, directive: str, status: int, code: str, message: str
) -> None:
    video = a_video(f"waves [simulate: {directive}]")

    refused = await refusal(api, "Video.CreateVideo", video, key=api.add_key(environment="test"))

    assert (refused.http_status, refused.message) == (status, message)
    assert refused.envelope["error"]["code"] == code
    assert api.ledger.state == {}
    await api.call("Video.CreateVideo", video, key=api.add_key())

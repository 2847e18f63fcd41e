"""What videos cost, as customers see it: estimates, models a key may use, and a price that changes meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.common.clock import utc_now
from services.common.postgres.database import Pool
from services.jobs.convert.events import render_event
from services.jobs.domain.offers import PriceList
from services.jobs.steps.complete import complete
from tests.fakes.upstream import ScriptedMedia
from tests.integration.jobs.api import RICH_MICROS, Api, Refusal, running_api
from tests.integration.jobs.conftest import a_candidate
from tests.integration.jobs.test_api_videos import BAD_CREATIONS, BODY, PROMPT
from tests.unit.jobs.samples import OUTPUT, PRICES, a_price, prices_of


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool) as running:
        yield running


async def refusal(api: Api, method: str, fields: Any, *, key: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await api.call(method, fields, key=key)
    return refused.value


def model_not_found(model: str, names: str) -> dict[str, Any]:
    message = f'There is no model "{model}". Use one of: {names}.'
    return {"error": {"code": "model_not_found", "message": message, "type": "invalid_request_error"}}


async def test_an_estimate_tells_the_price_and_whether_it_is_covered(api: Api) -> None:
    key = api.add_key()
    wanted = {"prompt": "waves", "duration": 15, "resolution": "1080p"}
    api.ledger.available_micros["acct_1", "live"] = 99_500_000

    covered = await api.call("Video.EstimateVideo", BODY, key=key)
    not_covered = await api.call("Video.EstimateVideo", {"model": "pro", "input": wanted}, key=key)

    common = {"available": 99.5}
    assert covered == {
        "data": {
            "model": "mini",
            "resolution": "720p",
            "duration": 5,
            "credits": 50,
            "covered": True,
            **common,
        }
    }
    assert not_covered == {
        "data": {
            "model": "pro",
            "resolution": "1080p",
            "duration": 15,
            "credits": 750,
            "covered": False,
            **common,
        }
    }


async def test_an_estimate_creates_holds_and_wakes_nothing(api: Api) -> None:
    key = api.add_key()

    await api.call("Video.EstimateVideo", BODY, key=key)

    assert api.ledger.amount == {}
    assert api.notified == []
    assert (await api.call("Video.ListVideos", key=key))["data"] == []


async def test_an_estimate_is_refused_whatever_a_creation_is_refused(api: Api) -> None:
    key = api.add_key()

    for fields, message in [
        *BAD_CREATIONS,
        ({"model": "ultra", "input": PROMPT}, 'There is no model "ultra".'),
    ]:
        create, estimate = [
            await refusal(api, method, fields, key=key)
            for method in ("Video.CreateVideo", "Video.EstimateVideo")
        ]

        assert estimate.message.startswith(message)
        assert (estimate.http_status, estimate.envelope) == (create.http_status, create.envelope)
    assert api.ledger.available_micros["acct_1", "live"] == RICH_MICROS


async def test_for_a_key_the_models_it_may_not_use_do_not_exist(api: Api) -> None:
    key = api.add_key(models=("mini", "fast"))

    listed = await api.call("Models.ListModels", key=key)
    refusals = [
        await refusal(api, "Models.GetModel", {"id": "pro"}, key=key),
        await refusal(api, "Video.CreateVideo", {"model": "pro", "input": PROMPT}, key=key),
        await refusal(api, "Video.EstimateVideo", {"model": "pro", "input": PROMPT}, key=key),
    ]

    assert [model["id"] for model in listed["data"]] == ["fast", "mini"]
    for refused in refusals:
        assert (refused.http_status, refused.envelope) == (404, model_not_found("pro", "fast, mini"))
    assert (await api.call("Models.GetModel", {"id": "mini"}, key=key))["data"]["id"] == "mini"
    assert (await api.call("Video.CreateVideo", BODY, key=key))["data"]["credits_reserved"] == 50


async def test_what_has_no_price_in_an_environment_is_not_on_offer_there(api: Api) -> None:
    live, test = api.add_key(), api.add_key(environment="test")
    in_test = prices_of({"pro": {"480p": 3, "1080p": 7}}, "test")
    in_live = prices_of({"mini": {"720p": 10}}, "live")
    api.prices.known = PriceList(prices={**in_test.prices, **in_live.prices})

    listed = [(await api.call("Models.ListModels", key=key))["data"] for key in (live, test)]
    shown = (await api.call("Models.GetModel", {"id": "pro"}, key=test))["data"]
    refused = await refusal(api, "Video.CreateVideo", {"model": "pro", "input": PROMPT}, key=live)
    lacking = await refusal(api, "Video.CreateVideo", {"model": "pro", "input": PROMPT}, key=test)

    assert [[(model["id"], model["resolutions"]) for model in models] for models in listed] == [
        [("mini", ["720p"])],
        [("pro", ["480p", "1080p"])],
    ]
    assert shown["credits_per_second"] == {"480p": 3, "1080p": 7}
    assert refused.envelope == model_not_found("pro", "mini")
    assert (lacking.http_status, lacking.message) == (
        400,
        'Field input.resolution must be one of 480p, 1080p for model pro. It was "720p".',
    )


async def test_a_job_is_settled_by_the_price_it_was_created_with(api: Api) -> None:
    key = api.add_key()
    created = (await api.call("Video.CreateVideo", BODY, key=key))["data"]
    dearer = a_price(1000, version="2", valid_from=utc_now() - timedelta(seconds=1))
    api.prices.known = PriceList(
        prices={("mini", "720p", "live"): [*PRICES.prices["mini", "720p", "live"], dearer]}
    )
    later = (await api.call("Video.EstimateVideo", BODY, key=key))["data"]
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.open_attempt(claim, candidates=(a_candidate(),), token="t")
    await api.work.adopt_task(claim, task_id="cgt-1", seconds=0, event=None)
    [claim] = await api.work.claim(limit=1, lease_seconds=60)
    claim = await api.work.keep_output(
        claim, replace(OUTPUT, duration_seconds=3.1), started_at=utc_now(), event=None
    )

    await complete(
        claim,
        work=api.work,
        ledger=api.ledger,
        media=ScriptedMedia(),
        clock=utc_now,
        render_event=render_event,
    )

    polled = (await api.call("Video.GetVideo", {"id": created["id"]}, key=key))["data"]
    assert (created["credits_reserved"], later["credits"]) == (50, 5000)
    assert (claim.job.price_version, claim.job.micros_per_second) == ("1", 10_000_000)
    assert polled["credits_charged"] == 30
    assert api.ledger.captured == {created["id"]: 30_000_000}

"""What no route of a model can render is refused before anything is set aside, in the words of each contract."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.catalogue import SIMULATED, AccountRoutes, Catalogue
from services.jobs.domain.routes import Choice
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.unit.jobs.samples import CATALOGUE

ALL = SIMULATED.route.features
PINNED, BARRED = "acct_pinned", "acct_barred"
IMAGES = [f"https://example.com/{number}.png" for number in range(4)]
VIDEO = "https://example.com/a.mp4"
# One cannot have many references, the other has fixed lengths and always sound.
SILENT = Choice(
    route=replace(
        SIMULATED.route,
        name="silent",
        features=replace(
            ALL,
            image_references=3,
            video_references=0,
            end_frame=False,
            watermark=frozenset({False}),
            seed=False,
        ),
    ),
    priority=1,
    weight=1,
)
LOUD = Choice(
    route=replace(
        SIMULATED.route,
        name="loud",
        features=replace(
            ALL,
            seconds=frozenset({4, 8}),
            audio=frozenset({True}),
            end_frame=False,
            resolutions=frozenset({"720p"}),
        ),
    ),
    priority=1,
    weight=1,
)


def catalogue_of(*choices: Choice) -> Catalogue:
    return replace(
        CATALOGUE,
        choices_by_model={model.id: choices for model in CATALOGUE.models},
        routes={choice.route.name: choice.route for choice in choices},
        accounts={
            PINNED: AccountRoutes(only=frozenset({"loud"})),
            BARRED: AccountRoutes(never=frozenset({"loud"})),
        },
    )


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool, catalogue=lambda: catalogue_of(SILENT, LOUD)) as running:
        yield running


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "too many images for a silent video": (
        {"image_urls": IMAGES},
        "image_urls",
        "can hold at most 3 for model {model} with the rest of this request",
    ),
    "a video as reference of a silent one": (
        {"video_url": VIDEO},
        "video_url",
        "cannot be sent for model {model} with the rest of this request",
    ),
    "several": (
        {"video_urls": [VIDEO]},
        "video_urls",
        "cannot be sent for model {model} with the rest of this request",
    ),
    "a length of the loud one only": (
        {"image_urls": IMAGES, "generate_audio": True, "duration": 5, "video_urls": [VIDEO]},
        "duration",
        "must be one of 4, 8 for model {model} with the rest of this request",
    ),
    "a mark on a silent video": (
        {"watermark": True},
        "watermark",
        "must be false for model {model} with the rest of this request",
    ),
    "loud and marked in a resolution of the silent one": (
        {"watermark": True, "video_url": VIDEO, "generate_audio": True, "duration": 4, "resolution": "480p"},
        "resolution",
        "must be one of 720p for model {model} with the rest of this request",
    ),
}
NEXTAPI_NAMES = {"duration": "duration_seconds"}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("method", ["Video.CreateVideo", "Video.EstimateVideo", "Job.CreateJob"])
async def test_a_request_that_no_route_can_render_is_refused_before_anything_is_held(
    method: str, case: str, api: Api
) -> None:
    fields, field, rule = REFUSED[case]
    is_nextapi = method == "Job.CreateJob"
    model, contract = ("seedance-2.0-pro", "nextapi") if is_nextapi else ("pro", "seedancee2")
    request: dict[str, Any]
    if is_nextapi:
        named = {NEXTAPI_NAMES.get(name, name): value for name, value in fields.items()}
        request = {"model": model, "prompt": "x", **named}
        place = NEXTAPI_NAMES.get(field, field)
    else:
        request = {"model": model, "input": {"prompt": "x", **fields}}
        place = f"input.{field}"

    with pytest.raises(Refusal) as refused:
        await api.call(method, request, key=api.add_key(contract=contract))

    assert refused.value.http_status == 400
    assert f"Field {place} {rule.format(model=model)}." in refused.value.message
    assert not api.ledger.amount
    assert api.notified == []


async def test_in_test_the_simulator_can_render_all_of_it(api: Api) -> None:
    for fields, _, _ in REFUSED.values():
        request = {"model": "pro", "input": {"prompt": "x", **fields}}

        await api.call("Video.CreateVideo", request, key=api.add_key(environment="test"))

    assert len(api.ledger.amount) == len(REFUSED)


async def test_an_account_is_shown_and_given_what_its_routes_can_do(api: Api) -> None:
    silent = {"model": "pro", "input": {"prompt": "x", "duration": 5}}
    pinned, barred = api.add_key(account_id=PINNED), api.add_key(account_id=BARRED)

    await api.call("Video.CreateVideo", silent, key=barred)
    with pytest.raises(Refusal) as refused:
        await api.call("Video.CreateVideo", silent, key=pinned)
    shown = (await api.call("Models.GetModel", {"id": "pro"}, key=pinned))["data"]

    assert "Field input.duration must be one of 4, 8 for model pro" in refused.value.message
    assert list(shown["credits_per_second"]) == shown["resolutions"] == ["720p"]
    assert shown["duration"] == {"min": 4, "max": 8}
    assert "first_and_last_frames" not in shown["capabilities"]
    listed = (await api.call("Models.ListModels", key=barred))["data"]
    assert next(model["resolutions"] for model in listed) == ["480p", "720p", "1080p"]

"""Models, as integrations look them up."""

import pytest

from tests.e2e.contract.conftest import History
from tests.e2e.edge.client import assert_refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = {"min": 4, "max": 15}
MODELS = [
    {"id": "pro", "status": "active", "resolutions": ["480p", "720p", "1080p"], "duration": SECONDS},
    {"id": "fast", "status": "active", "resolutions": ["480p", "720p"], "duration": SECONDS},
    {"id": "mini", "status": "active", "resolutions": ["480p", "720p"], "duration": SECONDS},
]
DETAILS = {
    "aspect_ratios": ["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"],
    "capabilities": [
        "image_reference",
        "video_reference",
        "audio_reference",
        "first_and_last_frames",
        "audio_generation",
        "watermark",
        "last_frame",
    ],
}
RATES = {
    "pro": {"480p": 10, "720p": 20, "1080p": 50},
    "fast": {"480p": 8, "720p": 16},
    "mini": {"480p": 5, "720p": 10},
}


async def test_the_list_is_the_contracts(history: History) -> None:
    answer = await history.customer.send("GET", "/v1/models")

    assert (answer.status, answer.json) == (200, {"data": MODELS})


@pytest.mark.parametrize("position", range(len(MODELS)))
async def test_a_model_tells_everything_about_itself(history: History, position: int) -> None:
    model = MODELS[position]

    detail = await history.customer.get(f"/v1/models/{model['id']}")

    assert detail == {**model, **DETAILS, "credits_per_second": RATES[str(model["id"])]}


async def test_an_unknown_model_is_not_found(history: History) -> None:
    answer = await history.customer.send("GET", "/v1/models/ultra")

    message = 'There is no model "ultra". Use one of: pro, fast, mini.'
    assert_refused(answer, 404, message, code="model_not_found")

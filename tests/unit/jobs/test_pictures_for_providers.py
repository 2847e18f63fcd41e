"""Providers of the catalogue that want pictures as bytes get what loads them."""

from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from services.jobs.catalogue.current import in_force
from services.jobs.catalogue.load import load_catalogue
from services.jobs.providers import CatalogueProviders
from services.upstream.pictures import Picture, UnusablePictureError
from services.upstream.provider import Order, ReferenceFault, RefusedError
from tests.unit.jobs.test_settings import load as load_settings

TEXT = """
credentials:
  a: {{provider: {provider}, base_url: "https://api.example/v1", keys: [{{name: main, env: KEY_1}}]}}
routes:
  one: {{credential: a, model: m, features: {{resolutions: [720p]}}, cost_usd_per_second: {{720p: "0.1"}}}}
models:
  pro: {{resolutions: [720p], duration_seconds: {{min: 8, max: 8}}, aspect_ratios: ["16:9"], capabilities: [], routes: [{{route: one}}]}}
"""
ORDER = Order(
    model="m",
    prompt="a boat",
    duration_seconds=8,
    resolution="720p",
    aspect_ratio="16:9",
    generate_audio=True,
    watermark=False,
    return_last_frame=False,
    seed=7,
    start_image_url="https://c.example/a.png",
)


@pytest.mark.parametrize("provider", ["veo", "openai_videos"])
async def test_a_provider_that_wants_bytes_asks_for_them(tmp_path: Any, provider: str) -> None:
    asked: list[str] = []

    async def load(url: str) -> Picture:
        asked.append(url)
        raise UnusablePictureError(ReferenceFault.NOT_FETCHED)

    path = tmp_path / "catalogue.yaml"
    path.write_text(TEXT.format(provider=provider), encoding="utf-8")
    known = in_force(load_catalogue(path), {"KEY_1": "key"})
    current = cast("Any", SimpleNamespace(in_force=known))
    # Without a picture nothing is sent, so no session is opened.
    session = cast("aiohttp.ClientSession", None)
    providers = CatalogueProviders(load_settings(live_provider="catalogue"), session, current, load=load)

    with pytest.raises(RefusedError):
        await providers["live"]["a"].submit(
            ORDER, correlation_id="att_1", callback_url=None, timeout_seconds=5
        )

    assert asked == ["https://c.example/a.png"]

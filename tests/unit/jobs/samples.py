"""Values that tests of the jobs service share."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import services.jobs
from services.jobs.catalogue.load import load_catalogue
from services.jobs.domain.job import Job, Output
from services.jobs.domain.offers import Offer, Price, PriceList
from services.jobs.domain.requests import Buyer, JobInput, Owner
from services.jobs.domain.states import Status

CATALOGUE_FILE = Path(services.jobs.__file__).parent / "catalogue.yaml"
CATALOGUE = load_catalogue(CATALOGUE_FILE).catalogue
OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
NEXTAPI_OWNER = replace(OWNER, contract="nextapi")
BUYER = Buyer(owner=OWNER, key_id="key_1", models_allowed=())
CREDITS_PER_SECOND: dict[str, dict[str, float]] = {
    "pro": {"480p": 10, "720p": 20, "1080p": 50},
    "fast": {"480p": 8, "720p": 16},
    "mini": {"480p": 5, "720p": 10},
    "seedance-2.0-pro": {"480p": 0.035, "720p": 0.07, "1080p": 0.175},
    "seedance-2.0-fast": {"480p": 0.028, "720p": 0.056},
    "seedance-2.0-mini": {"480p": 0.0175, "720p": 0.035},
}


def a_price(credits_per_second: float, *, version: str = "1", valid_from: datetime | None = None) -> Price:
    """Returns a price that holds since ever, or from a moment on."""
    return Price(
        version=version,
        valid_from=valid_from or datetime(1970, 1, 1, tzinfo=UTC),
        micros_per_second=round(credits_per_second * 1_000_000),
    )


def prices_of(credits_per_second: Mapping[str, Mapping[str, float]], *environments: str) -> PriceList:
    """Returns one version of prices."""
    return PriceList(
        prices={
            (model, resolution, environment): [a_price(rate)]
            for environment in environments
            for model, rates in credits_per_second.items()
            for resolution, rate in rates.items()
        }
    )


PRICES = prices_of(CREDITS_PER_SECOND, "live", "test")
OFFERS = {
    model.id: Offer(
        model=model,
        prices={resolution: a_price(rate) for resolution, rate in CREDITS_PER_SECOND[model.id].items()},
        choices=CATALOGUE.choices_of(model.id, OWNER),
    )
    for model in CATALOGUE.models
}
INPUT = JobInput(
    prompt="waves",
    duration_seconds=5,
    resolution="720p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
JOB = Job(
    id="vid_01jz8b7q4x8k2p9w3m5c6n7r8s",
    owner=OWNER,
    status=Status.PENDING,
    model="pro",
    input=INPUT,
    callback_url=None,
    metadata_json=None,
    price_version="1",
    micros_per_second=20_000_000,
    reserved_micros=100_000_000,
    created_at=datetime(2026, 6, 29, 10, tzinfo=UTC),
)
OUTPUT = Output(
    video_url="https://media.example/videos/a.mp4",
    thumbnail_url="https://media.example/video-posters/a.jpg",
    last_frame_url=None,
    duration_seconds=5.0,
)


def a_job(**changes: Any) -> Job:
    """Returns JOB with changes."""
    return replace(JOB, **changes)

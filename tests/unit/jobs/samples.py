"""Values that tests of the jobs service share."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import services.jobs
from services.jobs.catalogue import load_catalogue
from services.jobs.domain import Job, Output, Owner, Status, VideoInput

CATALOGUE_FILE = Path(services.jobs.__file__).parent / "catalogue.yaml"
CATALOGUE, UPSTREAM_NAMES = load_catalogue(CATALOGUE_FILE)
OWNER = Owner(account_id="acct_1", environment="live", contract="seedancee2")
INPUT = VideoInput(
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

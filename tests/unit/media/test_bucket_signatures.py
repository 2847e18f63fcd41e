"""Buckets sign their own addresses, and one is given out again as long as it is valid for long enough."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.jobs.signed_links import KEPT_MAX, kept
from services.media.store import MediaStore

NAME = "videos/2026/01/02/vid_1.mp4"
SECONDS = 1_000
BUCKETS = {
    "s3://bucket/media": (
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-central-1"},
        (
            "https://s3.eu-central-1.amazonaws.com/bucket/media/" + NAME,
            "X-Amz-Expires=1000",
            "X-Amz-Signature=",
        ),
    ),
    "az://container/media": (
        {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"},
        ("https://account.blob.core.windows.net/container/media/" + NAME, "se=", "sig="),
    ),
}


@pytest.mark.parametrize("url", BUCKETS)
async def test_a_bucket_signs_its_own_addresses(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, expected = BUCKETS[url]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = MediaStore.open(url, public_base_url="https://media.example")

    [signed] = await store.sign([NAME], SECONDS)

    assert all(part in signed for part in expected)


class Store:
    """Signs, and counts how often it is asked."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.asked: list[str] = []
        self.lifetimes: set[int] = set()

    def clock(self) -> datetime:
        return self.now

    async def sign(self, names: Sequence[str], lifetime_seconds: int) -> Sequence[str]:
        self.asked += names
        self.lifetimes.add(lifetime_seconds)
        return [f"{name}?{len(self.asked)}" for name in names]


async def test_a_store_is_asked_again_only_when_an_address_would_be_valid_for_too_short() -> None:
    store = Store()
    sign = kept(store.sign, seconds=SECONDS, clock=store.clock)

    first = await sign(["a", "b"])
    assert await sign(["b", "a"]) == first[::-1]
    [lifetime] = store.lifetimes
    store.now += timedelta(seconds=lifetime - SECONDS)
    assert await sign(["a"]) == first[:1]
    store.now += timedelta(seconds=1)
    assert await sign(["a"]) != first[:1]
    assert store.asked == ["a", "b", "a"]


async def test_it_keeps_no_more_addresses_than_it_may() -> None:
    store = Store()
    sign = kept(store.sign, seconds=SECONDS, clock=store.clock)

    await sign([str(number) for number in range(KEPT_MAX + 1)])
    await sign(["0", str(KEPT_MAX)])

    assert store.asked[KEPT_MAX + 1 :] == ["0"]

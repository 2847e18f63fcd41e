"""A bucket is used over HTTP by signatures that another implementation of S3's rules makes too."""

from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from services.media.store import MediaStore
from tests.fakes.s3_server import UNSIGNED, S3Server, Signed
from tests.patience import PATIENCE_SECONDS

NAME, STAGED = "videos/2026/11/28/vid_1.mp4", "staged/vid 1+ü.mp4"
CONTENT = b"\0\0\0\x18ftypmp42"


@pytest.fixture
async def bucket() -> AsyncIterator[S3Server]:
    async with S3Server() as server:
        yield server


@pytest.fixture
def store(bucket: S3Server, monkeypatch: pytest.MonkeyPatch) -> MediaStore:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return MediaStore.open("s3://results", public_base_url="https://media.example")


async def status(method: str, url: str, content: bytes | None = None, **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=content, headers=headers) as response,
    ):
        await response.read()
        return response.status


def test_the_bucket_signs_as_the_published_example_does() -> None:
    example = Signed(
        method="GET",
        path="/test.txt",
        query={
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
            "X-Amz-Date": "20130524T000000Z",
            "X-Amz-Expires": "86400",
            "X-Amz-SignedHeaders": "host",
        },
        headers={"host": "examplebucket.s3.amazonaws.com"},
        payload=UNSIGNED,
        at="20130524T000000Z",
        scope="20130524/us-east-1/s3/aws4_request",
    )

    assert example.signature("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY") == (
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


async def test_objects_are_put_moved_looked_at_and_deleted(store: MediaStore, bucket: S3Server) -> None:
    await store.put(STAGED, CONTENT, media_type="video/mp4", timeout_seconds=PATIENCE_SECONDS)
    await store.publish(STAGED, NAME, timeout_seconds=PATIENCE_SECONDS)
    await store.publish(STAGED, NAME, timeout_seconds=PATIENCE_SECONDS)

    assert bucket.objects == {f"/results/{NAME}": (CONTENT, "video/mp4")}
    assert await store.size_of(NAME, timeout_seconds=PATIENCE_SECONDS) == len(CONTENT)
    await store.delete(NAME, timeout_seconds=PATIENCE_SECONDS)
    await store.delete(NAME, timeout_seconds=PATIENCE_SECONDS)
    assert await store.size_of(NAME, timeout_seconds=PATIENCE_SECONDS) is None
    assert bucket.objects == {}


@pytest.mark.parametrize("name", [NAME, STAGED])
async def test_a_signed_address_permits_one_method_for_one_object_for_its_time(
    store: MediaStore, bucket: S3Server, name: str
) -> None:
    [put] = await store.sign([name], 900, method="PUT")
    [get] = await store.sign([name], 900)

    assert await status("PUT", put, CONTENT, **{"Content-Type": "video/mp4"}) == 200
    assert await status("GET", get) == 200
    assert await status("GET", put) == 403
    assert await status("PUT", get, b"other") == 403
    assert await status("GET", get.replace("vid", "vod")) == 403
    assert await status("GET", get.partition("?")[0]) == 403
    bucket.ahead = timedelta(seconds=901)
    assert await status("GET", get) == 403
    assert list(bucket.objects.values()) == [(CONTENT, "video/mp4")]

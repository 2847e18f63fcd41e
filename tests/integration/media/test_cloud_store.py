"""Buckets, as far as they can be tried without a cloud: the requests that leave for one."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from services.media.errors import MediaGoneError, MediaUnavailableError
from services.media.store import MediaStore
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Reply
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ArkServer]:
    async with ArkServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT", server.origin)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield server


async def test_object_goes_to_its_bucket_with_its_type(endpoint: ArkServer, tmp_path: Path) -> None:
    store = MediaStore.open("s3://bucket/results", public_base_url="https://media.example")
    source = tmp_path / "source"
    source.write_bytes(b"video")
    endpoint.will(Reply(headers={"ETag": '"1"'}))

    await store.put("videos/a.mp4", source, media_type="video/mp4", timeout_seconds=PATIENCE_SECONDS)

    (seen,) = endpoint.seen
    assert (seen.method, seen.path) == ("PUT", "/bucket/results/videos/a.mp4")
    assert seen.headers["content-type"] == "video/mp4"
    assert seen.body == b"video"


async def test_failing_bucket_is_unavailable_and_asked_once(endpoint: ArkServer) -> None:
    store = MediaStore.open("s3://bucket/results", public_base_url="https://media.example")
    endpoint.will(Reply(status=503))

    with pytest.raises(MediaUnavailableError):
        await store.put("videos/a.mp4", b"video", media_type="video/mp4", timeout_seconds=PATIENCE_SECONDS)

    assert len(endpoint.seen) == 1


async def test_publishing_copies_within_the_bucket_and_deletes_what_was_staged(endpoint: ArkServer) -> None:
    store = MediaStore.open("s3://bucket/results", public_base_url="https://media.example")
    copied = b"<CopyObjectResult><ETag>&quot;1&quot;</ETag></CopyObjectResult>"
    deleted = b"<DeleteResult><Deleted><Key>results/.staged/a.mp4</Key></Deleted></DeleteResult>"
    endpoint.will(Reply(body=copied), Reply(body=deleted))

    await store.publish(".staged/a.mp4", "videos/a.mp4", timeout_seconds=PATIENCE_SECONDS)

    assert [(seen.method, seen.path) for seen in endpoint.seen] == [
        ("PUT", "/bucket/results/videos/a.mp4"),
        ("POST", "/bucket"),
    ]
    assert "delete" in endpoint.seen[1].query
    assert b"<Key>results/.staged/a.mp4</Key>" in endpoint.seen[1].body
    assert endpoint.seen[0].headers["x-amz-copy-source"] == "bucket/results/.staged/a.mp4"


@pytest.mark.parametrize(("status", "is_there"), [(200, True), (404, False)])
async def test_publishing_again_is_harmless_where_it_was_done(
    endpoint: ArkServer, status: int, is_there: bool
) -> None:
    store = MediaStore.open("s3://bucket/results", public_base_url="https://media.example")
    gone = Reply(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>")
    modified = {"Last-Modified": "Mon, 29 Jun 2026 10:00:00 GMT", "ETag": '"1"'}
    endpoint.will(gone, Reply(status=status, body=b"video", headers=modified))

    with nullcontext() if is_there else pytest.raises(MediaGoneError):
        await store.publish(".staged/a.mp4", "videos/a.mp4", timeout_seconds=PATIENCE_SECONDS)

    assert [(seen.method, seen.path) for seen in endpoint.seen] == [
        ("PUT", "/bucket/results/videos/a.mp4"),
        ("HEAD", "/bucket/results/videos/a.mp4"),
    ]


@pytest.mark.parametrize("url", ["gs://bucket/results", "az://container/results"])
def test_other_clouds_are_opened_by_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")

    store = MediaStore.open(url, public_base_url="https://media.example")

    assert store.url_of("a.mp4") == "https://media.example/a.mp4"

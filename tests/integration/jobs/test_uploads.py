"""Uploads: announced within a quota that holds under any concurrency, named only by their owner, deleted in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text

from services.common.clock import utc_now
from services.common.postgres.database import Pool, Query, fetch
from services.jobs.domain.requests import Owner
from services.jobs.duties.sweep_uploads import sweep_stray_files, sweep_uploads
from services.jobs.store.uploads import SqlUploads
from services.jobs.upload_files import UploadFiles
from services.media.limits import MediaLimits
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.signed_addresses import AddressSigner
from services.media.store import MediaStore
from tests.integration.jobs.api import Api, Refusal, running_api
from tests.integration.jobs.conftest import jobs_settings

BASE = "https://media.example/uploads/"
SETTINGS = jobs_settings(uploads_max=3, upload_mb_max=100)
AGE = Query(
    text("UPDATE uploads SET kept_until = now() - interval '1 second' WHERE name = :name RETURNING id")
)
ALL = Query(text("SELECT id FROM uploads"))


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool, settings=SETTINGS) as running:
        yield running


async def announce(api: Api, key: str, *, media_type: str = "image/png", size: int | None = 1_000) -> Any:
    fields = {"content_type": media_type} | ({} if size is None else {"size_bytes": size})
    return (await api.call("Upload.CreateUpload", fields, key=key))["data"]


def arrive(api: Api, upload: Any, content: bytes = b"checked before it appeared") -> None:
    folder = api.media / ".uploads"
    folder.mkdir(exist_ok=True)
    (folder / upload["url"].removeprefix(BASE)).write_bytes(content)


async def create(api: Api, key: str, **references: Any) -> Any:
    fields = {"model": "pro", "input": {"prompt": "A boat", **references}}
    return await api.call("Video.CreateVideo", fields, key=key)


async def refused(api: Api, key: str, **references: Any) -> str:
    with pytest.raises(Refusal) as caught:
        await create(api, key, **references)
    assert caught.value.http_status == 400
    assert not api.ledger.state
    return caught.value.message


def files_of(api: Api) -> UploadFiles:
    return UploadFiles(
        MediaStore.open(str(api.media), public_base_url="https://media.example"),
        signer=AddressSigner(secret="of the media host"),
        prober=Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND),
    )


@pytest.mark.parametrize("contract", ["seedancee2", "nextapi"])
async def test_keys_of_both_contracts_announce_files(api: Api, contract: str) -> None:
    key = api.add_key(contract=contract)
    upload = await announce(api, key)
    assert upload["id"].startswith("upl_")
    assert upload["url"].startswith(f"{BASE}{upload['id']}-")
    assert upload["put"]["url"].startswith(upload["url"] + "?")
    assert upload["put"]["headers"] == {"Content-Type": "image/png"}
    assert upload["put"]["size_bytes_max"] == 1_000
    shown = (await api.call("Upload.GetUpload", {"id": upload["id"]}, key=key))["data"]
    assert (shown["status"], "put" in shown) == ("waiting", False)
    arrive(api, upload, b"four")
    shown = (await api.call("Upload.GetUpload", {"id": upload["id"]}, key=key))["data"]
    assert (shown["status"], shown["size_bytes"]) == ("arrived", 4)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"content_type": "image/heic"}, "no request takes: HEIC. Export the photo as JPEG"),
        ({"content_type": "image/svg+xml"}, "no request takes: SVG. Render the drawing as PNG"),
        ({"content_type": "text/plain"}, "must be one of image/jpeg, image/png"),
        ({"content_type": "image/png", "size_bytes": 30_000_001}, "must be at most 30000000 for image files"),
    ],
)
async def test_what_cannot_be_a_reference_is_not_announced(
    api: Api, fields: dict[str, Any], rule: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await api.call("Upload.CreateUpload", fields, key=api.add_key())
    assert caught.value.http_status == 400
    assert rule in caught.value.message


@pytest.mark.parametrize(("size", "accepted"), [(1, 3), (40_000_000, 2), (None, 3)])
async def test_the_quota_is_exact_however_many_ask_at_once(api: Api, size: int | None, accepted: int) -> None:
    key = api.add_key()
    media_type = "video/mp4" if size == 40_000_000 else "image/png"
    answers = await asyncio.gather(
        *(announce(api, key, media_type=media_type, size=size) for _ in range(12)), return_exceptions=True
    )
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    assert 12 - len(refusals) == accepted
    assert {refusal.http_status for refusal in refusals} == {409}
    assert "3 uploads with 100000000 bytes" in refusals[0].message
    # Of others nothing is taken.
    await announce(api, api.add_key(account_id="acct_2"))
    await announce(api, api.add_key(environment="test"))


async def test_a_task_names_a_file_that_has_arrived(api: Api) -> None:
    key = api.add_key()
    upload = await announce(api, key)
    arrive(api, upload)
    accepted = await create(api, key, image_urls=["https://a.example/b.png", upload["url"]])
    job = await api.jobs.get(accepted["data"]["id"], owner=owner())
    assert job.input.image_urls[1] == upload["url"]
    # Its file is kept for longer than any task lasts.
    shown = (await api.call("Upload.GetUpload", {"id": upload["id"]}, key=key))["data"]
    assert shown["expires_at"] > upload["expires_at"]


async def test_what_a_task_may_not_name_is_refused_by_its_field(api: Api) -> None:
    key = api.add_key()
    upload = await announce(api, key)
    image = upload["url"]
    message = await refused(api, key, image_urls=["https://a.example/b.png", image])
    assert message.startswith("Field input.image_urls[1] names an upload whose file has not arrived. PUT it")
    arrive(api, upload)
    for stranger in (api.add_key(account_id="acct_2"), api.add_key(environment="test")):
        assert "does not have" in await refused(api, stranger, image_urls=[image])
    assert "must be a video in MP4 or MOV, but it is PNG" in await refused(api, key, video_url=image)
    assert "does not have" in await refused(api, key, image_urls=[f"{BASE}guessed.png"])
    assert "does not have" in await refused(api, key, image_urls=[image.replace("-", "-A", 1)])
    await api.call("Upload.DeleteUpload", {"id": upload["id"]}, key=key)
    assert "does not have" in await refused(api, key, image_urls=[image])


async def test_estimates_check_uploads_too(api: Api) -> None:
    key = api.add_key()
    upload = await announce(api, key)
    fields = {"model": "pro", "input": {"prompt": "A boat", "image_urls": [upload["url"]]}}
    with pytest.raises(Refusal, match="has not arrived"):
        await api.call("Video.EstimateVideo", fields, key=key)


async def test_only_its_owner_sees_and_deletes_an_upload(api: Api) -> None:
    key = api.add_key()
    upload = await announce(api, key)
    arrive(api, upload)
    for stranger in (api.add_key(account_id="acct_2"), api.add_key(environment="test")):
        for method in ("Upload.GetUpload", "Upload.DeleteUpload"):
            with pytest.raises(Refusal, match="There is no upload"):
                await api.call(method, {"id": upload["id"]}, key=stranger)
    answer = await api.call("Upload.DeleteUpload", {"id": upload["id"]}, key=key)
    assert answer["data"] == {"id": upload["id"], "deleted": True}
    assert not list((api.media / ".uploads").iterdir())
    await asyncio.gather(*(announce(api, key) for _ in range(3)))


async def test_what_is_over_is_deleted_with_its_file(api: Api, jobs_pool: Pool) -> None:
    key = api.add_key()
    old, young = await announce(api, key), await announce(api, key)
    arrive(api, old)
    arrive(api, young)
    await fetch(jobs_pool, AGE, name=old["url"].removeprefix(BASE))
    assert "does not have" in await refused(api, key, image_urls=[old["url"]])
    duty = sweep_uploads(SqlUploads(jobs_pool), files_of(api))
    assert await duty.run_once() == 1
    assert await duty.run_once() == 0
    assert [row["id"] for row in await fetch(jobs_pool, ALL)] == [young["id"]]
    assert [path.name for path in (api.media / ".uploads").iterdir()] == [young["url"].removeprefix(BASE)]


async def test_files_that_no_upload_knows_are_deleted(api: Api, jobs_pool: Pool) -> None:
    upload = await announce(api, api.add_key())
    arrive(api, upload)
    stray = {"url": f"{BASE}upl_{'0' * 26}-{'x' * 43}.png"}
    arrive(api, stray)
    (api.media / ".uploads" / "upl_1.png#1234").write_bytes(b"broken off")
    later = utc_now().replace(year=utc_now().year + 1)
    await sweep_stray_files(SqlUploads(jobs_pool), files_of(api), clock=lambda: later).run_once()
    assert [path.name for path in (api.media / ".uploads").iterdir()] == [upload["url"].removeprefix(BASE)]


async def test_a_use_and_a_sweep_never_both_succeed(api: Api, jobs_pool: Pool) -> None:
    key = api.add_key()
    uploads = SqlUploads(jobs_pool)
    upload = await announce(api, key)
    arrive(api, upload)
    await asyncio.gather(*(uploads.keep([upload["id"]], owner=owner()) for _ in range(4)))
    with suppress(Refusal):
        await asyncio.gather(
            api.call("Upload.DeleteUpload", {"id": upload["id"]}, key=key),
            create(api, key, image_urls=[upload["url"]]),
        )
    assert await uploads.keep([upload["id"]], owner=owner()) == set()


async def test_a_provider_gets_an_address_that_it_can_read(api: Api) -> None:
    upload = await announce(api, api.add_key())
    files = files_of(api)
    assert await files.readable("https://a.example/b.png") == "https://a.example/b.png"
    assert await files.readable(f"{BASE}guessed.png") == f"{BASE}guessed.png"
    address = await files.readable(upload["url"])
    query = dict(part.split("=") for part in address.partition("?")[2].split("&"))
    name = f"uploads/{upload['url'].removeprefix(BASE)}"
    assert AddressSigner(secret="of the media host").check("GET", name, query, now=0) is None
    assert int(query["expires"]) > utc_now().timestamp() + 23 * 3600


def owner() -> Owner:
    return Owner(account_id="acct_1", environment="live", contract="seedancee2")

"""A customer's own file becomes a video, on both contracts, and nobody else's request can name it."""

import io
import urllib.error
import urllib.request
from typing import Any

import pytest
from PIL import Image

from tests.e2e.customer import SMALL, VIDEOS, Customer, data_of, open_customer
from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOBS = "/v1/video/generations"


def picture() -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (640, 640), "red").save(file, "PNG")
        return file.getvalue()


def put(address: str, content: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(address, data=content, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return int(answer.status)


def read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
        return bytes(answer.read())


async def uploaded(customer: Customer, content: bytes, media_type: str = "image/png") -> Any:
    upload = data_of(await customer.send("POST", "/v1/uploads", {"content_type": media_type}))
    assert put(upload["put"]["url"], content, upload["put"]["headers"]) == 201
    return upload


async def test_a_file_of_ones_own_is_a_reference(stack: Stack, account: Account) -> None:
    async with (
        open_customer(stack.edge, account.keys["live"]) as customer,
        open_customer(stack.edge, account.keys["test"]) as stranger,
    ):
        upload = await uploaded(customer, picture())
        body = {"model": "mini", "input": {"prompt": "red", "image_urls": [upload["url"]], **SMALL}}
        created = await customer.create(body)
        ended = await customer.until(created["id"], ("completed", "failed"), seconds=PATIENCE_SECONDS)
        assert data_of(ended)["status"] == "completed", ended.body
        refused = await stranger.send("POST", VIDEOS, body)
        assert (refused.status, "does not have in this environment" in refused.json["error"]["message"]) == (
            400,
            True,
        )
        with pytest.raises(urllib.error.HTTPError) as unread:
            read(upload["url"])
        with unread.value:
            assert unread.value.code == 403
        with pytest.raises(urllib.error.HTTPError) as again:
            put(upload["put"]["url"], picture(), upload["put"]["headers"])
        with again.value:
            assert again.value.code == 409
        shown = await customer.get(f"/v1/uploads/{upload['id']}")
        assert (shown["status"], shown["size_bytes"]) == ("arrived", len(picture()))
        deleted = data_of(await customer.send("DELETE", f"/v1/uploads/{upload['id']}"))
        assert deleted == {"id": upload["id"], "deleted": True}


async def test_the_other_contract_uploads_at_the_same_address(stack: Stack) -> None:
    account = stack.create_account(contract="nextapi", credits_each="10")
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        upload = await uploaded(customer, picture())
        body = {
            "model": "seedance-2.0-mini",
            "prompt": "red",
            "image_urls": [upload["url"]],
            "duration_seconds": 4,
            "resolution": "480p",
        }
        accepted = await customer.send("POST", JOBS, body)
        assert (accepted.status, accepted.json["status"]) == (200, "queued")
        refused = await customer.send("POST", "/v1/uploads", {"content_type": "image/heic"})
        message = "names a format that no request takes: HEIC. Export the photo as JPEG."
        assert refused.json == {
            "error": {"code": "invalid_request", "message": f"Field content_type {message}"}
        }

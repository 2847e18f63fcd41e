"""Pictures of customers that are fetched for providers which fetch nothing themselves."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from PIL import Image

from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.jobs.wiring.pictures import picture_loader
from services.upstream.pictures import Load, Picture, UnusablePictureError
from services.upstream.provider import ReferenceFault
from tests.fakes.provider_server import Fault, ProviderServer, Reply

LOOPBACK = UrlPolicy(private_targets_allowed=(ip_network("127.0.0.0/8"),))


def picture(form: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (640, 640), "teal").save(made, form)
    return made.getvalue()


@asynccontextmanager
async def loading(policy: UrlPolicy = LOOPBACK) -> AsyncIterator[tuple[Load, ProviderServer]]:
    async with ProviderServer() as host, open_egress_session(policy, connections_max=4) as session:
        yield picture_loader(session), host


async def test_a_picture_is_what_its_bytes_say() -> None:
    png = picture("PNG")
    async with loading() as (load, host):
        host.will(Reply(body=png, headers={"Content-Type": "image/gif"}))

        assert await load(f"{host.origin}/a.gif") == Picture(content=png, media_type="image/png")
        assert not {"authorization", "x-goog-api-key", "cookie"} & host.seen[0].headers.keys()


async def test_a_picture_of_another_format_becomes_a_jpeg() -> None:
    async with loading() as (load, host):
        host.will(Reply(body=picture("WEBP")))

        found = await load(f"{host.origin}/a.webp")

    assert found.media_type == "image/jpeg"
    assert found.content.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Reply(status=404), ReferenceFault.NOT_READABLE),
        (Reply(body=b"<html>"), ReferenceFault.NOT_READABLE),
        (Reply(status=503), ReferenceFault.NOT_FETCHED),
        (Reply(fault=Fault.RESET), ReferenceFault.NOT_FETCHED),
    ],
)
async def test_a_picture_that_cannot_be_had_says_why(reply: Reply, fault: ReferenceFault) -> None:
    async with loading() as (load, host):
        host.will(reply)
        with pytest.raises(UnusablePictureError) as caught:
            await load(f"{host.origin}/a.png")

    assert caught.value.fault is fault


async def test_no_picture_is_fetched_from_a_private_address() -> None:
    async with loading(UrlPolicy()) as (load, host):
        with pytest.raises(UnusablePictureError):
            await load(f"{host.origin}/a.png")

        assert host.seen == []

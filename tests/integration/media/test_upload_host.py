"""What a stack without a bucket takes at a signed address, and what it leaves behind: one whole, checked file, or nothing."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from tests.e2e.edge.media import SIGNER, serving_media
from tests.patience import PATIENCE_SECONDS
from tests.unit.media.clips import make_clip

FAR = 4_000_000_000
SIZE_MAX = 1_000_000


def name(extension: str = "png", *, letter: str = "0") -> str:
    return f"upl_{letter * 26}-{letter * 43}.{extension}"


def picture(form: str = "PNG", *, size: tuple[int, int] = (400, 300)) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", size, "teal").save(file, form)
        return file.getvalue()


def sound(seconds: int) -> bytes:
    with io.BytesIO() as file:
        with wave.open(file, "wb") as written:
            written.setparams((1, 2, 8_000, 0, "NONE", ""))
            written.writeframes(bytes(16_000 * seconds))
        return file.getvalue()


@dataclass(frozen=True, kw_only=True)
class Host:
    base: str
    folder: Path
    session: aiohttp.ClientSession

    async def put(
        self, content: object, *, to: str = "", expires_at: int = FAR, size_max: int = SIZE_MAX
    ) -> tuple[int, str]:
        signed = SIGNER.sign("PUT", f"uploads/{to or name()}", expires_at=expires_at, size_max=size_max)
        async with self.session.put(f"{self.base}/{signed}", data=content) as answer:
            return answer.status, "" if answer.status == 201 else (await answer.json())["error"]["message"]

    @property
    def kept(self) -> list[str]:
        folder = self.folder / ".uploads"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with serving_media(tmp_path) as target, aiohttp.ClientSession() as session:
        yield Host(base=f"http://{target}", folder=tmp_path, session=session)


async def test_a_file_is_kept_and_served_to_who_has_a_signed_address(host: Host) -> None:
    assert await host.put(picture()) == (201, "")
    assert host.kept == [name()]
    signed = SIGNER.sign("GET", f"uploads/{name()}", expires_at=FAR)
    async with host.session.get(f"{host.base}/{signed}") as answer:
        assert (answer.status, await answer.read()) == (200, picture())
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["cache-control"] == "private, no-store"
    async with host.session.head(f"{host.base}/{signed}") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("query", ["", "?expires=4000000000&signature=00"])
async def test_nobody_else_can_read_it(host: Host, query: str) -> None:
    await host.put(picture())
    for path in (f"uploads/{name()}", f".uploads/{name()}"):
        async with host.session.get(f"{host.base}/{path}{query}") as answer:
            assert answer.status in {403, 404}
            assert b"PNG" not in await answer.read()


async def test_it_arrives_once_even_if_it_is_sent_twice_at_the_same_time(host: Host) -> None:
    answers = await asyncio.gather(*(host.put(picture()) for _ in range(8)))
    assert sorted(status for status, _ in answers) == [201, *[409] * 7]
    status, message = await host.put(picture(size=(500, 400)))
    assert (status, host.kept) == (409, [name()])
    assert "create another upload" in message
    assert (host.folder / ".uploads" / name()).read_bytes() == picture()


@pytest.mark.parametrize(
    ("extension", "content", "rule"),
    [
        ("png", picture("JPEG"), "was announced as image/png, but it is image/jpeg"),
        ("jpg", b"\x00\x00\x00\x18ftypheic" + bytes(99), "HEIC is not accepted. Export the photo as JPEG"),
        ("png", b"<svg/>", "SVG is not accepted. Render the drawing as PNG"),
        ("png", picture(size=(299, 299)), "sides of 300 to 6000 pixels; it has 299x299"),
        ("png", picture()[:20], "must be a whole picture"),
        ("png", b"", "must have 1 to 30000000 bytes; it has 0"),
        ("mp4", picture(), "must be a video in MP4 or MOV, but it is PNG"),
        (
            "mp4",
            b"\x00\x00\x00\x18ftypisom" + bytes(99),
            "must be a whole MP4 or MOV file with H.264 or H.265",
        ),
        ("wav", sound(1), "must last 2 to 15 seconds; it lasts 1.0"),
        ("wav", sound(16), "must last 2 to 15 seconds; it lasts 16.0"),
    ],
)
async def test_what_no_provider_takes_is_refused_on_arrival(
    host: Host, extension: str, content: bytes, rule: str
) -> None:
    status, message = await host.put(content, to=name(extension))
    assert (status, host.kept) == (400, [])
    assert rule in message


async def test_videos_and_sounds_within_the_rules_are_kept(host: Host, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", width=864, height=496, frame_count=50)
    assert await host.put(clip.read_bytes(), to=name("mp4")) == (201, "")
    assert await host.put(sound(3), to=name("wav")) == (201, "")
    small = make_clip(tmp_path / "small.mp4", width=320, height=320, frame_count=50)
    status, message = await host.put(small.read_bytes(), to=name("mp4", letter="1"))
    assert (status, "409600 to 8295044 pixels; it has 320x320" in message) == (400, True)


async def test_an_address_that_has_expired_says_what_to_do(host: Host) -> None:
    status, message = await host.put(picture(), expires_at=1_000)
    assert (status, message) == (403, "The address has expired. Create another upload with POST /v1/uploads.")


async def test_too_many_bytes_are_refused_before_they_are_read(host: Host) -> None:
    status, message = await host.put(picture(), size_max=100)
    assert (status, message) == (413, f"The file must have at most 100 bytes; it has {len(picture())}.")


async def test_a_file_of_unknown_length_is_refused(host: Host) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield picture()

    status, message = await host.put(pieces())
    assert (status, "Content-Length" in message, host.kept) == (411, True, [])


async def test_a_file_that_breaks_off_leaves_nothing(host: Host) -> None:
    signed = SIGNER.sign("PUT", f"uploads/{name()}", expires_at=FAR, size_max=SIZE_MAX)
    address, _, port = host.base.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(address, int(port))
    writer.write(f"PUT /{signed} HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n".encode() + picture())
    await writer.drain()
    await until(lambda: len(host.kept) == 1)
    writer.close()
    await until(lambda: host.kept == [])


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)

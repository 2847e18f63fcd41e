"""References fetched for providers that take only bytes: bounded, guarded, and converted only where they must be."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.common.egress.urls import origin_of
from services.media.errors import MediaUnavailableError
from services.media.limits import MediaLimits
from services.media.load_reference import LoadedReference, load_reference
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.reference_rules import ReferenceKind, ReferenceRefusedError
from tests.unit.media.clips import make_clip

VEO_TAKES = frozenset({"image/png", "image/jpeg"})


def picture(name: str, *, mode: str = "RGB", size: tuple[int, int] = (400, 300)) -> bytes:
    with io.BytesIO() as file:
        Image.new(mode, size, (0, 128, 128, 0)[: len(mode)]).save(file, name)
        return file.getvalue()


@dataclass(frozen=True, kw_only=True)
class Host:
    """A customer's file host."""

    url: str
    session: aiohttp.ClientSession
    asked: list[set[str]]

    async def load(
        self, path: str, *, kind: ReferenceKind = ReferenceKind.IMAGE, accepted: frozenset[str] = VEO_TAKES
    ) -> LoadedReference:
        return await load_reference(f"{self.url}{path}", kind, session=self.session, accepted=accepted)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    asked: list[set[str]] = []
    files = {
        "a.png": picture("PNG"),
        "b.webp": picture("WEBP", mode="RGBA"),
        "huge.png": picture("PNG", size=(6_400, 10)),
        "page": b"<!doctype html><html>Not found</html>",
        "drawing": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "half.gif": picture("GIF")[:200],
    }

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(set(request.headers))
        name = request.match_info["name"]
        if name == "moved":
            raise web.HTTPFound("/a.png")
        if name == "circle":
            raise web.HTTPFound("/circle")
        if name == "inward":
            raise web.HTTPFound("http://127.0.0.2/a.png")
        if name == "busy":
            return web.Response(status=503)
        if name == "endless":
            answer = web.StreamResponse()
            await answer.prepare(request)
            for _ in range(31):
                await answer.write(bytes(1_000_000))
            return answer
        return web.Response(body=files[name]) if name in files else web.Response(status=404)

    app = web.Application()
    app.add_routes([web.get("/{name}", serve)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    policy = UrlPolicy(origins_trusted=frozenset({origin_of(url)}))
    async with open_egress_session(policy, connections_max=4) as session:
        yield Host(url=url, session=session, asked=asked)
    await runner.cleanup()


async def test_a_file_that_the_provider_takes_comes_as_it_is(host: Host) -> None:
    loaded = await host.load("/a.png")
    assert loaded == LoadedReference(content=picture("PNG"), media_type="image/png")


async def test_a_picture_in_another_format_becomes_a_jpeg_on_white(host: Host) -> None:
    loaded = await host.load("/b.webp")
    assert loaded.media_type == "image/jpeg"
    image = Image.open(io.BytesIO(loaded.content))
    assert (image.format, image.size) == ("JPEG", (400, 300))
    darkest, _ = image.convert("L").getextrema()
    assert isinstance(darkest, int)
    assert darkest > 250


async def test_a_redirect_is_followed_without_any_credential(host: Host) -> None:
    assert (await host.load("/moved")).media_type == "image/png"
    assert not any({"Authorization", "Cookie"} & names for names in host.asked)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/huge.png", "300 to 6000 pixels"),
        ("/page", "HTML page"),
        ("/drawing", "SVG is not accepted"),
        ("/half.gif", "can be read"),
        ("/nothing", "answered 404"),
        ("/circle", "3 redirects"),
        ("/inward", "private address"),
        ("/endless", "at most 30000000 bytes"),
    ],
)
async def test_what_cannot_be_used_is_refused_for_good(host: Host, path: str, rule: str) -> None:
    with pytest.raises(ReferenceRefusedError, match=rule):
        await host.load(path)


async def test_a_host_that_fails_may_be_asked_again(host: Host) -> None:
    with pytest.raises(MediaUnavailableError, match="503"):
        await host.load("/busy")


async def test_a_picture_is_no_video(host: Host) -> None:
    with pytest.raises(ReferenceRefusedError, match="must be a video in MP4 or MOV, but it is PNG"):
        await host.load("/a.png", kind=ReferenceKind.VIDEO, accepted=frozenset({"video/mp4"}))


async def test_videos_are_measured_in_a_process_of_their_own(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", width=864, height=496, frame_count=48)
    prober = Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND)
    async with prober.running():
        found = await prober.probe(clip, want_last_frame=False)
    assert (found.width, found.height, found.duration_seconds, found.frames_per_second) == (864, 496, 2, 24)

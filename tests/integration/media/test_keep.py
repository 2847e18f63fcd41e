import io
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from services.media.errors import (
    MediaError,
    MediaGoneError,
    MediaRejectedError,
    MediaUnavailableError,
)
from services.media.keep import Kept, discard, keep, publish
from services.media.limits import MediaLimits
from services.media.names import media_names, staged_names
from services.media.prober import Prober
from services.media.store import MediaStore
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Fault, Reply
from tests.unit.media.clips import make_clip, shows_frame

NAMES = media_names("vid_1", created_on=date(2026, 6, 29))
STAGED = staged_names("vid_1", secret="token")
LIMITS = MediaLimits()


@dataclass(frozen=True, kw_only=True)
class Place:
    """A host that serves what it is told to, and a folder that keeps results."""

    host: ArkServer
    folder: Path
    scratch: Path
    session: aiohttp.ClientSession
    prober: Prober
    video: bytes

    async def keep(
        self,
        *replies: Reply,
        url: str | None = None,
        want_last_frame: bool = False,
        limits: MediaLimits = LIMITS,
        fits: Callable[[int, int], bool] = lambda _width, _height: True,
    ) -> Kept:
        self.host.will(*replies)
        return await keep(
            url or f"{self.host.origin}/clip.mp4?X-Signature=s%2Fecret%20&b=%41",
            names=NAMES,
            staged=STAGED,
            owner="account",
            want_last_frame=want_last_frame,
            fits=fits,
            store=self.store,
            session=self.session,
            prober=self.prober,
            limits=limits,
        )

    async def publish(self, *, has_last_frame: bool) -> None:
        await publish(
            staged=STAGED, names=NAMES, has_last_frame=has_last_frame, store=self.store, limits=LIMITS
        )

    @property
    def store(self) -> MediaStore:
        return MediaStore.open(str(self.folder), public_base_url="https://media.example")

    def stored(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frame_count=30, audio=True).read_bytes()


@pytest.fixture
async def place(video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    prober = Prober(limits=LIMITS, processes_max=1)
    async with ArkServer() as host, aiohttp.ClientSession() as session, prober.running():
        yield Place(
            host=host,
            folder=tmp_path / "media",
            scratch=scratch,
            session=session,
            prober=prober,
            video=video,
        )
    assert list(scratch.iterdir()) == []


async def test_kept_video_is_the_one_that_was_served(place: Place) -> None:
    kept = await place.keep(Reply(body=place.video), want_last_frame=True)

    assert kept == Kept(
        video_url="https://media.example/videos/2026/06/29/vid_1.mp4",
        thumbnail_url="https://media.example/video-posters/2026/06/29/vid_1.jpg",
        last_frame_url="https://media.example/video-posters/2026/06/29/vid_1-last.jpg",
        duration_seconds=1.25,
    )
    assert (place.folder / STAGED.video).read_bytes() == place.video


async def test_poster_and_last_frame_are_pictures_of_the_video(place: Place) -> None:
    await place.keep(Reply(body=place.video), want_last_frame=True)

    for name, number in ((STAGED.poster, 0), (STAGED.last_frame, 29)):
        picture = Image.open(io.BytesIO((place.folder / name).read_bytes()))
        assert picture.size == (160, 96)
        assert shows_frame(picture, number)


async def test_last_frame_is_made_only_when_asked_for(place: Place) -> None:
    kept = await place.keep(Reply(body=place.video))

    assert kept.last_frame_url is None
    assert place.stored() == [STAGED.poster, STAGED.video]


async def test_keeping_twice_leaves_the_same_files(place: Place) -> None:
    first = await place.keep(Reply(body=place.video))
    second = await place.keep(Reply(body=place.video))

    assert first == second
    assert place.stored() == [STAGED.poster, STAGED.video]


async def test_video_larger_than_one_block_arrives_whole(place: Place, tmp_path: Path) -> None:
    # A free box behind the index makes a valid file of any size.
    padding = 3_000_000
    padded = place.video + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8)

    await place.keep(Reply(body=padded))

    assert (place.folder / STAGED.video).read_bytes() == padded


async def test_link_is_asked_for_as_it_is_and_without_credentials(place: Place) -> None:
    await place.keep(Reply(body=place.video))

    (seen,) = place.host.seen
    assert seen.target == "/clip.mp4?X-Signature=s%2Fecret%20&b=%41"
    assert not {"authorization", "cookie", "x-api-key"} & seen.headers.keys()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        *((Reply(status=status), MediaGoneError) for status in (400, 401, 403, 404, 410)),
        *((Reply(status=status), MediaUnavailableError) for status in (408, 425, 429, 500, 502, 503, 504)),
        (Reply(status=204), MediaRejectedError),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), MediaUnavailableError),
        (Reply(status=302), MediaRejectedError),
        (Reply(body=b""), MediaRejectedError),
        (Reply(body=b"<html>not a video</html>"), MediaRejectedError),
        (Reply(body=b"x" * 2_000_000, fault=Fault.TRUNCATE), MediaUnavailableError),
    ],
)
async def test_nothing_is_stored_when_no_video_came(
    place: Place, reply: Reply, error: type[MediaError]
) -> None:
    with pytest.raises(error) as caught:
        await place.keep(reply)

    assert type(caught.value) is error
    assert "127.0.0.1" not in str(caught.value)
    assert "secret" not in caught.value.detail
    assert place.stored() == []


async def test_connection_that_always_dies_is_unavailable(place: Place) -> None:
    with pytest.raises(MediaUnavailableError):
        await place.keep(*[Reply(fault=Fault.RESET)] * 2)


async def test_host_that_never_answers_is_given_up(place: Place) -> None:
    with pytest.raises(MediaUnavailableError):
        await place.keep(Reply(fault=Fault.STALL), limits=replace(LIMITS, fetch_timeout_seconds=0.3))


async def test_host_that_is_down_is_unavailable(place: Place) -> None:
    await place.host.stop()

    with pytest.raises(MediaUnavailableError):
        await place.keep()


async def test_file_announced_over_the_limit_is_rejected_unread(place: Place) -> None:
    limits = replace(LIMITS, byte_count_max=len(place.video) - 1)

    with pytest.raises(MediaRejectedError, match="larger than"):
        await place.keep(Reply(body=place.video, fault=Fault.TRUNCATE), limits=limits)


async def test_file_that_grows_over_the_limit_is_rejected(place: Place) -> None:
    limits = replace(LIMITS, byte_count_max=len(place.video) - 1)

    with pytest.raises(MediaRejectedError, match="larger than"):
        await place.keep(Reply(body=place.video, chunked=True), limits=limits)

    assert place.stored() == []


async def test_truncated_file_that_claims_to_be_whole_is_rejected(place: Place) -> None:
    with pytest.raises(MediaRejectedError):
        await place.keep(Reply(body=place.video[:-500]))

    assert place.stored() == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host.example/clip.mp4",
        "//host.example/clip.mp4",
        "http://",
        "http://user:password@host.example/clip.mp4",
        "http://host.example/a b.mp4",
        "http://host.example/a\r\nX-Injected: 1",
        "http://host.example:999999/",
        "data:video/mp4;base64,AAAA",
        "",
    ],
)
async def test_link_of_another_kind_is_never_opened(place: Place, url: str) -> None:
    with pytest.raises(MediaRejectedError):
        await keep(
            url,
            names=NAMES,
            staged=STAGED,
            owner="account",
            want_last_frame=False,
            store=MediaStore.open(str(place.folder), public_base_url="https://media.example"),
            session=place.session,
            prober=place.prober,
            limits=LIMITS,
        )


async def test_published_files_are_those_that_were_kept_and_nothing_stays_behind(place: Place) -> None:
    await place.keep(Reply(body=place.video), want_last_frame=True)

    for _ in range(2):
        await place.publish(has_last_frame=True)

    assert place.stored() == sorted([NAMES.last_frame, NAMES.poster, NAMES.video])
    assert (place.folder / NAMES.video).read_bytes() == place.video


async def test_published_video_implies_its_pictures(place: Place) -> None:
    # A file where the video's folder should be lets everything but the video be published.
    await place.keep(Reply(body=place.video), want_last_frame=True)
    (place.folder / "videos").write_bytes(b"")

    with pytest.raises(MediaUnavailableError):
        await place.publish(has_last_frame=True)

    assert place.stored() == sorted(["videos", STAGED.video, NAMES.last_frame, NAMES.poster])


async def test_what_is_neither_staged_nor_public_cannot_be_published(place: Place) -> None:
    with pytest.raises(MediaGoneError, match="neither in the store nor staged"):
        await place.publish(has_last_frame=False)


async def test_discarding_leaves_nothing_wherever_it_lay(place: Place) -> None:
    await place.keep(Reply(body=place.video), want_last_frame=True)
    await place.publish(has_last_frame=False)

    for _ in range(2):
        await discard(STAGED, NAMES, store=place.store, limits=LIMITS)

    assert place.stored() == []


async def test_a_video_that_does_not_fit_is_not_stored(place: Place) -> None:
    with pytest.raises(MediaRejectedError, match="160x96 is not the requested size"):
        await place.keep(Reply(body=place.video), fits=lambda _width, _height: False)

    assert place.stored() == []


async def test_stored_video_proves_to_be_one(place: Place) -> None:
    kept = await place.keep(Reply(body=place.video))

    probed = await place.prober.probe(place.folder / STAGED.video, want_last_frame=False)

    assert (probed.width, probed.height, probed.duration_seconds) == (160, 96, kept.duration_seconds)

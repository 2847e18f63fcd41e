import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.media.errors import MediaUnavailableError
from services.media.store import MediaStore
from tests.patience import PATIENCE_SECONDS

NAME = "videos/2026/06/29/vid_1.mp4"


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def open_store(folder: Path | str) -> MediaStore:
    return MediaStore.open(str(folder), public_base_url="https://media.example/")


async def put(store: MediaStore, content: Path | bytes, *, name: str = NAME) -> None:
    await store.put(name, content, media_type="video/mp4", timeout_seconds=PATIENCE_SECONDS)


async def test_file_and_bytes_are_stored_under_their_names(tmp_path: Path) -> None:
    store = open_store(tmp_path / "media")
    source = tmp_path / "source"
    source.write_bytes(b"video" * 2_000_000)

    await put(store, source)
    await put(store, b"picture", name="video-posters/a.jpg")

    assert (tmp_path / "media" / NAME).read_bytes() == source.read_bytes()
    assert (tmp_path / "media/video-posters/a.jpg").read_bytes() == b"picture"


async def test_file_address_may_hold_spaces(tmp_path: Path) -> None:
    await put(open_store((tmp_path / "my media").as_uri()), b"video")

    assert (tmp_path / "my media" / NAME).read_bytes() == b"video"


@pytest.mark.parametrize("size", [3, 11_000_000], ids=["one piece", "in parts"])
async def test_overwriting_replaces_the_file_in_one_step(tmp_path: Path, size: int) -> None:
    store = open_store(tmp_path)
    await put(store, b"first")
    source = tmp_path / "source"
    source.write_bytes(b"x" * size)

    with (tmp_path / NAME).open("rb") as reader:
        await put(store, source)
        seen_by_reader = reader.read()

    assert seen_by_reader == b"first"
    assert (tmp_path / NAME).stat().st_size == size
    assert [path.name for path in (tmp_path / NAME).parent.iterdir()] == ["vid_1.mp4"]


@pytest.mark.usefixtures("strict_umask")
async def test_other_users_may_read_what_is_published_whatever_the_umask(tmp_path: Path) -> None:
    store = open_store(tmp_path / "media")
    await put(store, b"video", name="staged.mp4")
    assert (tmp_path / "media" / "staged.mp4").stat().st_mode & 0o077 == 0

    await store.publish("staged.mp4", NAME, timeout_seconds=PATIENCE_SECONDS)

    modes = [path.stat().st_mode & 0o777 for path in ((tmp_path / "media"), *(tmp_path / "media").rglob("*"))]
    assert (tmp_path / "media" / NAME).stat().st_mode & 0o777 == 0o644
    assert modes == [0o755] * 5 + [0o644]


async def test_store_that_cannot_write_is_unavailable(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    (tmp_path / "videos").write_bytes(b"a file where a folder should be")

    with pytest.raises(MediaUnavailableError):
        await put(store, b"video")


async def test_put_has_a_deadline(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    with pytest.raises(MediaUnavailableError):
        await store.put(NAME, b"video", media_type="video/mp4", timeout_seconds=0)


@pytest.mark.parametrize("base", ["https://media.example", "https://media.example/"])
def test_public_address_is_base_and_name(tmp_path: Path, base: str) -> None:
    store = MediaStore.open(str(tmp_path), public_base_url=base)

    assert store.url_of(NAME) == f"https://media.example/{NAME}"


@pytest.mark.parametrize("url", ["http://bucket.example/x", "memory:///", "ftp://host/x"])
def test_store_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not supported"):
        open_store(url)

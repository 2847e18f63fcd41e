"""A bucket takes files unseen: they are checked when a request first names them, and only then lie where providers read."""

import io

import obstore
import pytest
from obstore.store import MemoryStore
from PIL import Image

from services.jobs.upload_files import UploadFiles
from services.media.limits import MediaLimits
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.reference_rules import ReferenceRefusedError
from services.media.store import MediaStore

NAME = f"upl_{'0' * 26}-{'x' * 43}.png"
INCOMING, KEPT = f".uploads/incoming/{NAME}", f".uploads/{NAME}"


def picture(size: tuple[int, int] = (400, 300)) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", size).save(file, "PNG")
        return file.getvalue()


@pytest.fixture
def bucket() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def files(bucket: MemoryStore) -> UploadFiles:
    prober = Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND)
    store = MediaStore(bucket, folder=None, public_base_url="https://media.example")
    return UploadFiles(store, signer=None, prober=prober)


def names(bucket: MemoryStore) -> list[str]:
    return sorted(str(item["path"]) for batch in obstore.list(bucket) for item in batch)


async def test_a_file_that_fits_is_moved_to_where_it_is_kept(files: UploadFiles, bucket: MemoryStore) -> None:
    assert files.is_open
    assert await files.arrival(NAME, size_max=10_000) is None
    await obstore.put_async(bucket, INCOMING, picture())
    assert await files.size_of(NAME) == len(picture())
    assert await files.arrival(NAME, size_max=10_000) == len(picture())
    assert names(bucket) == [KEPT]
    # What is sent again lies where nobody reads it.
    await obstore.put_async(bucket, INCOMING, b"other")
    assert await files.arrival(NAME, size_max=10_000) == len(picture())
    await files.delete(NAME)
    assert names(bucket) == []


@pytest.mark.parametrize(
    ("content", "size_max", "rule"),
    [
        (picture((200, 200)), 10_000, "300 to 6000 pixels"),
        (b"<svg/>", 10_000, "SVG is not accepted"),
        (picture(), 10, "must have at most 10 bytes"),
    ],
)
async def test_a_file_that_does_not_fit_is_deleted(
    files: UploadFiles, bucket: MemoryStore, content: bytes, size_max: int, rule: str
) -> None:
    await obstore.put_async(bucket, INCOMING, content)
    with pytest.raises(ReferenceRefusedError, match=rule):
        await files.arrival(NAME, size_max=size_max)
    assert names(bucket) == []


async def test_a_bucket_signs_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = MediaStore.open("s3://bucket/results", public_base_url="https://media.example")
    [address] = await store.sign([INCOMING], 900, method="PUT")
    assert f"/bucket/results/{INCOMING}?" in address
    assert "X-Amz-Expires=900" in address

"""Files are whole or absent, continue where a connection was lost, and never get the key."""

from pathlib import Path
from typing import Any

import pytest
from reelgate_client import ConnectionFailedError, InvalidRequestError, NotFoundError, ReelgateError

from tests.unit.clients.python.conftest import Bench
from tests.unit.clients.python.service import LOST, Received, Reply

MEDIA = bytes(range(256)) * 40


def ranged(request: Received) -> Reply:
    """What a host of media answers."""
    first = request.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if not first:
        return Reply(200, MEDIA)
    if int(first) >= len(MEDIA):
        return Reply(416, b"", {"Content-Range": f"bytes */{len(MEDIA)}"})
    return Reply(206, MEDIA[int(first) :], {"Content-Range": f"bytes {first}-{len(MEDIA) - 1}/{len(MEDIA)}"})


def shown(bench: Bench, **more: Any) -> Reply:
    output = {
        "video_url": f"{bench.service.url}/media/vid_1.mp4",
        "thumbnail_url": f"{bench.service.url}/t.jpg",
    }
    return Reply(
        200, {"data": {"id": "vid_1", "status": "completed", "model": "mini", "output": output, **more}}
    )


def video(bench: Bench, **settings: Any) -> Any:
    bench.service.replies = [shown(bench)]
    found = bench.do(bench.client(**settings).videos.get("vid_1"))
    bench.service.received.clear()
    return found


def part(target: Path) -> Path:
    return target.with_name("boat.mp4.vid_1.video.part")


def test_a_download_is_the_file_and_nothing_else_is_left(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    bench.service.replies = [ranged]

    assert bench.do(saved.download(tmp_path / "boat.mp4")) == tmp_path / "boat.mp4"

    assert (tmp_path / "boat.mp4").read_bytes() == MEDIA
    assert [each.name for each in tmp_path.iterdir()] == ["boat.mp4"]
    [sent] = bench.service.received
    assert sent.path == "/media/vid_1.mp4"
    assert not {"authorization", "x-api-key"} & set(sent.headers)


def test_a_lost_connection_is_continued_by_range(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    bench.service.replies = [Reply(200, MEDIA[:1000], cut=True), LOST, ranged]

    bench.do(saved.download(tmp_path / "boat.mp4"))

    assert (tmp_path / "boat.mp4").read_bytes() == MEDIA
    assert [each.headers.get("range") for each in bench.service.received] == [
        None,
        "bytes=1000-",
        "bytes=1000-",
    ]


def test_what_an_earlier_call_left_is_continued(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    part(tmp_path / "boat.mp4").write_bytes(MEDIA[:5000])
    bench.service.replies = [ranged]

    bench.do(saved.download(tmp_path / "boat.mp4"))

    assert (tmp_path / "boat.mp4").read_bytes() == MEDIA
    assert bench.service.received[0].headers["range"] == "bytes=5000-"


def test_what_was_complete_but_for_its_name_gets_it(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    part(tmp_path / "boat.mp4").write_bytes(MEDIA)
    bench.service.replies = [ranged]

    bench.do(saved.download(tmp_path / "boat.mp4"))

    assert (tmp_path / "boat.mp4").read_bytes() == MEDIA


@pytest.mark.parametrize(
    "other",
    [
        Reply(200, MEDIA),
        Reply(206, MEDIA[7:], {"Content-Range": f"bytes 7-{len(MEDIA) - 1}/{len(MEDIA)}"}),
        Reply(416, b"", {"Content-Range": "bytes */3"}),
    ],
)
def test_a_host_that_ignores_the_range_is_read_from_the_start(
    bench: Bench, tmp_path: Path, other: Reply
) -> None:
    saved = video(bench)
    part(tmp_path / "boat.mp4").write_bytes(MEDIA[:5000])
    bench.service.replies = [other, ranged]

    bench.do(saved.download(tmp_path / "boat.mp4"))

    assert (tmp_path / "boat.mp4").read_bytes() == MEDIA


def test_what_cannot_be_completed_does_not_appear(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    (tmp_path / "boat.mp4").write_bytes(b"yesterday's")
    bench.service.replies = [Reply(200, MEDIA[:1000], cut=True), LOST]

    with pytest.raises(ConnectionFailedError):
        bench.do(saved.download(tmp_path / "boat.mp4"))

    assert (tmp_path / "boat.mp4").read_bytes() == b"yesterday's"
    assert part(tmp_path / "boat.mp4").read_bytes() == MEDIA[:1000]


def test_an_address_that_has_expired_is_asked_for_anew(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    renewed = {"video_url": f"{bench.service.url}/renewed.mp4"}
    bench.service.replies = [Reply(403, b"expired"), shown(bench, output=renewed), ranged]

    bench.do(saved.download(tmp_path / "boat.mp4"))

    assert [each.path for each in bench.service.received] == [
        "/media/vid_1.mp4",
        "/v1/videos/generations/vid_1",
        "/renewed.mp4",
    ]


def test_deleted_media_are_an_error(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    bench.service.replies = [Reply(404, b"gone")]

    with pytest.raises(NotFoundError):
        bench.do(saved.download(tmp_path / "boat.mp4"))

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_video_lacks_is_an_error(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)

    with pytest.raises(ReelgateError, match="has no last_frame"):
        bench.do(saved.download(tmp_path / "last.jpg", file="last_frame"))


def test_a_redirect_of_media_is_followed_without_the_key(bench: Bench, tmp_path: Path) -> None:
    saved = video(bench)
    elsewhere = bench.service.url.replace("127.0.0.1", "localhost")
    bench.service.replies = [Reply(302, b"", {"Location": f"{elsewhere}/cdn.mp4"}), ranged]

    bench.do(saved.download(tmp_path / "boat.mp4"))

    assert (tmp_path / "boat.mp4").read_bytes() == MEDIA
    assert not any("authorization" in each.headers for each in bench.service.received)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_of_the_api_is_not_followed(bench: Bench, status: int) -> None:
    bench.service.replies = [Reply(status, b"", {"Location": "http://localhost:1/v1/balance"})]

    with pytest.raises(ReelgateError, match="redirect to http://localhost:1/v1/balance"):
        bench.do(bench.client().balance())

    assert len(bench.service.received) == 1


def announced(bench: Bench, status: str = "waiting") -> Reply:
    put = {"url": f"{bench.service.url}/put", "headers": {"Content-Type": "image/png"}, "size_bytes_max": 9}
    data = {"id": "upl_1", "status": status, "url": "https://media.example.com/uploads/upl_1.png"}
    return Reply(200, {"data": {**data, "put": put} if status == "waiting" else data})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "cat.PNG").write_bytes(b"\x89PNG" * 2)
    return tmp_path / "cat.PNG"


def test_an_upload_is_announced_sent_and_named(bench: Bench, picture: Path) -> None:
    bench.service.replies = [announced(bench), Reply(201, b""), announced(bench, "arrived")]

    upload = bench.do(bench.client().uploads.create(picture))

    first, put, _ = bench.service.received
    assert first.json == {"content_type": "image/png", "size_bytes": 8}
    assert (put.method, put.path, put.body) == ("PUT", "/put", picture.read_bytes())
    assert (put.headers["content-type"], put.headers["content-length"]) == ("image/png", "8")
    assert "authorization" not in put.headers
    assert (upload.url, upload.status) == ("https://media.example.com/uploads/upl_1.png", "arrived")


def test_a_file_whose_arrival_was_not_answered_has_arrived(bench: Bench, picture: Path) -> None:
    arrived = Reply(409, {"error": {"code": "conflict", "message": "a file has arrived before"}})
    bench.service.replies = [announced(bench), LOST, arrived, announced(bench, "arrived")]

    assert bench.do(bench.client().uploads.create(picture)).status == "arrived"


def test_a_file_that_is_refused_says_why(bench: Bench, picture: Path) -> None:
    refused = Reply(400, {"error": {"code": "invalid_request", "message": "It is no PNG.", "type": "t"}})
    bench.service.replies = [announced(bench), refused]

    with pytest.raises(InvalidRequestError, match=r"It is no PNG\."):
        bench.do(bench.client().uploads.create(picture))


def test_a_file_of_an_unknown_kind_is_not_announced(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="content_type"):
        bench.do(bench.client().uploads.create(tmp_path / "cat.heic"))

    assert bench.service.received == []

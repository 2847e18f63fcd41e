"""Creations, polls and lists: every key and every value that the contract shows, and no other."""

import re
from datetime import datetime
from typing import Any

import pytest
from ulid import ULID

from tests.e2e.contract.conftest import (
    COMPLETED,
    CREDITS,
    FAILURES,
    METADATA,
    UNFINISHED,
    History,
)
from tests.e2e.customer import VIDEOS, open_customer
from tests.e2e.local_stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL = {"full": "pro", "frames": "fast"}
SENT_METADATA = {
    "full": METADATA,
    **{name: {"name": name} for name in FAILURES},
    **{name: {} for name in UNFINISHED},
}
VIDEO_ID = re.compile(r"vid_[0-9a-z]{26}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MESSAGES = {
    "generation_failed": "The video could not be generated. Please try again with a different prompt.",
    "content_policy_violation": "The request or its result is against the content policy. Change the prompt or the reference files.",
    "input_media_error": "A reference file could not be used. Check that every address is public and its format is supported.",
    "timeout": "The video was not ready in time. Please try again.",
}
PROVIDER_WORDS = (
    b"dreamina",
    b"doubao",
    b"seedance-2",
    b"cgt-",
    b"simulator",
    b"volc",
    b"byteplus",
    b"/tasks/",
)


def expected_start(history: History, name: str, *, status: str) -> dict[str, Any]:
    created = history.created[name]
    start = {"id": created["id"], "status": status, "model": created["model"]}
    return {**start, "created_at": created["created_at"]}


def sent_metadata(name: str) -> dict[str, Any]:
    return {"metadata": SENT_METADATA[name]} if name in SENT_METADATA else {}


def media_url(stack_edge: str, video: dict[str, Any], folder: str, ending: str) -> str:
    day = video["created_at"][:10].replace("-", "/")
    return f"{stack_edge}/media/{folder}/{day}/{video['id']}{ending}"


@pytest.mark.parametrize("name", CREDITS)
async def test_a_creation_answers_exactly_five_keys(history: History, name: str) -> None:
    created = history.created[name]

    assert created == {
        "id": created["id"],
        "status": "pending",
        "model": MODEL.get(name, "mini"),
        "credits_reserved": CREDITS[name],
        "created_at": created["created_at"],
    }
    assert isinstance(created["credits_reserved"], int)
    assert VIDEO_ID.fullmatch(created["id"])
    assert MOMENT.fullmatch(created["created_at"])
    made = ULID.from_str(created["id"].removeprefix("vid_").upper())
    assert made.datetime == datetime.fromisoformat(created["created_at"])


@pytest.mark.parametrize("status", UNFINISHED)
async def test_a_poll_before_the_end_shows_no_result(history: History, status: str) -> None:
    assert history.video(status) == {
        **expected_start(history, status, status=status),
        **sent_metadata(status),
    }


@pytest.mark.parametrize("name", COMPLETED)
async def test_a_poll_of_a_completed_video_shows_its_output(history: History, name: str) -> None:
    video = history.video(name)

    edge = video["output"]["video_url"].partition("/media/")[0]
    output = {
        "video_url": media_url(edge, video, "videos", ".mp4"),
        "thumbnail_url": media_url(edge, video, "video-posters", ".jpg"),
    }
    if name == "full":
        output["last_frame_url"] = media_url(edge, video, "video-posters", "-last.jpg")
    assert video == {
        **expected_start(history, name, status="completed"),
        "completed_at": video["completed_at"],
        "credits_charged": CREDITS[name],
        "output": output,
        **sent_metadata(name),
    }
    assert isinstance(video["credits_charged"], int)
    assert MOMENT.fullmatch(video["completed_at"])
    assert video["completed_at"] > video["created_at"]


@pytest.mark.parametrize("name", FAILURES)
async def test_a_poll_of_a_failed_video_says_why_and_what_came_back(history: History, name: str) -> None:
    code, _ = FAILURES[name]

    assert history.video(name) == {
        **expected_start(history, name, status="failed"),
        "credits_charged": 0,
        "credits_refunded": CREDITS[name],
        "error": {"code": code, "message": MESSAGES[code], "type": "generation_error"},
        **sent_metadata(name),
    }


async def test_no_provider_is_ever_named(history: History) -> None:
    listed = await history.customer.send("GET", VIDEOS)
    models = await history.customer.send("GET", "/v1/models/pro")
    bodies = [listed.body, models.body, *(poll.body for poll in history.polls.values())]

    assert [word for word in PROVIDER_WORDS for body in bodies if word in body.lower()] == []


async def test_a_list_shows_all_videos_newest_first_as_polls_show_them(history: History) -> None:
    listed = await history.customer.send("GET", VIDEOS)

    videos = sorted(map(history.video, CREDITS), key=lambda video: str(video["id"]), reverse=True)
    assert listed.json == {"data": videos}
    moments = [video["created_at"] for video in videos]
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("completed", COMPLETED),
        ("failed", FAILURES),
        ("pending", ["pending"]),
        ("processing", ["processing"]),
    ],
)
async def test_a_list_is_filtered_by_status(history: History, status: str, names: list[str]) -> None:
    listed = await history.customer.get(f"{VIDEOS}?status={status}&limit=100")

    assert {video["id"] for video in listed} == {history.created[name]["id"] for name in names}


async def test_pages_lead_through_the_whole_list_and_end(history: History) -> None:
    whole = await history.customer.get(VIDEOS)
    pages: list[dict[str, Any]] = []
    path = f"{VIDEOS}?limit=4"
    while not pages or "next_after" in pages[-1]:
        pages.append((await history.customer.send("GET", path)).json)
        path = f"{VIDEOS}?limit=4&after={pages[-1].get('next_after')}"

    assert [set(page) for page in pages] == [{"data", "next_after"}, {"data", "next_after"}, {"data"}]
    assert [len(page["data"]) for page in pages] == [4, 4, 2]
    assert [video for page in pages for video in page["data"]] == whole


async def test_pages_keep_their_filter(history: History) -> None:
    first = (await history.customer.send("GET", f"{VIDEOS}?status=failed&limit=3")).json
    rest = (
        await history.customer.send("GET", f"{VIDEOS}?status=failed&limit=3&after={first['next_after']}")
    ).json

    assert [video["status"] for video in first["data"] + rest["data"]] == ["failed"] * 5
    assert "next_after" not in rest


async def test_a_field_that_the_contract_does_not_know_is_refused_and_nothing_is_made(stack: Stack) -> None:
    account = stack.create_account("unknown fields")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        body = {"model": "mini", "duration": 4, "input": {"prompt": "waves"}}
        refused = await customer.send("POST", VIDEOS, body)

        listed = await customer.send("GET", VIDEOS)

    message = "Field duration is not known. Did you mean input.duration?"
    assert (refused.status, refused.json["error"]["message"]) == (400, message)
    assert listed.json["data"] == []

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.jobs.domain.failures import FailureCode
from services.jobs.domain.job import Job
from services.jobs.domain.states import Status
from services.jobs.rpc import jobs, videos
from services.jobs.watch.event_stream import Narration, View, event
from tests.unit.jobs.samples import JOB, OUTPUT, a_job

STARTED = datetime(2026, 6, 29, 10, 1, tzinfo=UTC)
TAKEN = a_job(status=Status.PROCESSING)
RUNNING = a_job(status=Status.PROCESSING, started_at=STARTED)
ENDED = a_job(
    status=Status.COMPLETED,
    started_at=STARTED,
    ended_at=STARTED + timedelta(minutes=1),
    output=OUTPUT,
    charged_micros=100_000_000,
)
FAILED = a_job(status=Status.FAILED, ended_at=STARTED, failure=FailureCode.TIMEOUT)
VIEWS = pytest.mark.parametrize("view", [videos.VIEW, jobs.VIEW], ids=["seedancee2", "nextapi"])

Event = dict[str, Any]


def read(text: str) -> list[Event]:
    """Returns the events of a stream, as the HTML standard reads them."""
    events = []
    for block in text.split("\n\n")[:-1]:
        fields: Event = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        events.append({**fields, "data": json.loads(fields["data"])})
    return events


def told(view: View, *states: Job, heard: str = "", now: datetime = STARTED) -> list[Event]:
    narration = Narration(view, heard=heard)
    return read("".join(narration.next(job, now) for job in states))


def names(events: list[Event]) -> list[tuple[str, str]]:
    return [(each["event"], (each["data"].get("data") or each["data"]).get("status", "")) for each in events]


def test_a_task_is_told_from_its_first_status_to_its_end() -> None:
    events = told(videos.VIEW, JOB, JOB, TAKEN, RUNNING, ENDED)

    assert names(events) == [
        ("status", "pending"),
        ("status", "processing"),
        ("progress", ""),
        ("status", "completed"),
        ("end", "completed"),
    ]


def test_a_nextapi_job_runs_only_once_it_renders() -> None:
    events = told(jobs.VIEW, JOB, TAKEN, RUNNING, ENDED)

    assert names(events) == [
        ("status", "queued"),
        ("status", "running"),
        ("progress", ""),
        ("status", "succeeded"),
        ("end", "succeeded"),
    ]


@VIEWS
def test_statuses_and_the_end_carry_what_a_poll_answers(view: View) -> None:
    now = ENDED.ended_at or STARTED

    status, end = told(view, ENDED, now=now)

    assert status["data"] == end["data"] == view.poll(ENDED, now)


def test_progress_is_told_again_only_when_there_is_some() -> None:
    narration = Narration(videos.VIEW, heard="")
    narration.next(RUNNING, STARTED)

    same = narration.next(RUNNING, STARTED)
    (later,) = read(narration.next(RUNNING, STARTED + timedelta(seconds=30)))

    assert same == ""
    assert later["event"] == "progress"
    assert later["data"]["id"] == RUNNING.id
    assert 1 < later["data"]["progress"] < 100
    assert "id" not in later


@VIEWS
@pytest.mark.parametrize("job", [JOB, RUNNING, ENDED, FAILED])
def test_who_names_the_last_position_is_not_told_it_again(view: View, job: Job) -> None:
    positions = [each["id"] for each in told(view, job) if "id" in each]

    again = [each.get("id") for each in told(view, job, heard=positions[-1])]

    assert positions[-1] not in again
    assert set(again) <= {None}


@VIEWS
def test_who_missed_something_is_told_how_it_is_now(view: View) -> None:
    (waiting,) = told(view, JOB)

    assert names(told(view, ENDED, heard=waiting["id"])) == names(told(view, ENDED))


@VIEWS
def test_who_has_heard_the_last_status_still_hears_the_end(view: View) -> None:
    status, _ = told(view, ENDED)

    assert [each["event"] for each in told(view, ENDED, heard=status["id"])] == ["end"]


@VIEWS
@pytest.mark.parametrize("heard", ["7", "\xff", "vid_01jz8b7q4x8k2p9w3m5c6n7r8t/pending", f"{JOB.id}/end"])
def test_an_unknown_position_is_like_none(view: View, heard: str) -> None:
    assert told(view, JOB, heard=heard) == told(view, JOB)


def test_what_customers_wrote_cannot_break_a_line() -> None:
    text = event("status", {"metadata": "a\n\nevent: end\r\u2028"})

    assert text.count("\n") == 3
    assert "\r" not in text
    assert read(text)[0]["data"] == {"metadata": "a\n\nevent: end\r\u2028"}

"""What each operation leaves behind, and what it refuses."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.convert import seedancee2
from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.job import Job
from services.jobs.domain.requests import NewJob
from services.jobs.domain.states import Status
from services.jobs.operations.get_usage import get_usage
from tests.fakes.jobs import FakeJobs, FakeLedger
from tests.fakes.operations import job_operations
from tests.unit.jobs.samples import BUYER, CATALOGUE, INPUT, OFFERS, OWNER, a_job

NOW = datetime(2026, 6, 29, 10, 0, 0, 123_456, tzinfo=UTC)
WANTED = NewJob(
    model="mini",
    input=INPUT,
    callback_url="https://a.example/h",
    metadata_json='{"a":1}',
    field_name=seedancee2.field_name,
)
PURSE = (OWNER.account_id, OWNER.environment)


@dataclass
class Shop:
    """Everything a creation needs."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    ledger: FakeLedger = field(default_factory=lambda: FakeLedger(available_micros={PURSE: 1_000_000_000}))
    catalogue: Catalogue = CATALOGUE

    async def create(self, **changes: Any) -> Job:
        operations = job_operations(
            self.jobs, ledger=self.ledger, catalogue=self.catalogue, new_id=self.new_id, clock=lambda: NOW
        )
        return await operations.create(replace(WANTED, **changes), buyer=BUYER, id_prefix="vid")

    def new_id(self, prefix: str, _moment: datetime) -> str:
        return f"{prefix}_{len(self.jobs.jobs):026d}"


async def test_a_created_job_is_priced_held_and_stored() -> None:
    shop = Shop()

    job = await shop.create()

    assert job == Job(
        id=job.id,
        owner=OWNER,
        status=Status.PENDING,
        model="mini",
        input=INPUT,
        callback_url="https://a.example/h",
        metadata_json='{"a":1}',
        key_id="key_1",
        moderation_profile="off",
        price_version="1",
        micros_per_second=10_000_000,
        reserved_micros=50_000_000,
        created_at=NOW.replace(microsecond=123_000),
    )
    assert shop.jobs.jobs == {job.id: job}
    assert (shop.ledger.state, shop.ledger.amount) == ({job.id: "provisional"}, {job.id: 50_000_000})


async def test_every_creation_makes_another_job() -> None:
    shop = Shop()

    await shop.create()
    await shop.create()

    assert len(shop.jobs.jobs) == len(shop.ledger.amount) == 2


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        (
            {"model": "ultra"},
            Reason.MODEL_NOT_FOUND,
            'There is no model "ultra". Use one of: pro, fast, mini.',
        ),
        (
            {"input": replace(INPUT, resolution="1080p")},
            Reason.INVALID_FIELD,
            'Field input.resolution must be one of 480p, 720p for model mini. It was "1080p".',
        ),
        (
            {"input": replace(INPUT, duration_seconds=16)},
            Reason.INVALID_FIELD,
            "Field input.duration must be 4 to 15 for model mini. It was 16.",
        ),
    ],
)
async def test_what_a_model_lacks_is_refused_before_any_hold(
    changes: dict[str, Any], reason: Reason, message: str
) -> None:
    shop = Shop()

    with pytest.raises(ServiceError) as refused:
        await shop.create(**changes)

    assert (refused.value.reason, refused.value.message) == (reason, message)
    assert not shop.jobs.jobs
    assert not shop.ledger.amount


LACKING: list[tuple[str, Any, str, str]] = [
    ("image_urls", ("https://a.example/1",), "image_urls", "image_reference"),
    ("video_urls", ("https://a.example/1",), "video_urls", "video_reference"),
    ("audio_urls", ("https://a.example/1",), "audio_urls", "audio_reference"),
    ("start_image_url", "https://a.example/1", "generation_type", "first_and_last_frames"),
    ("generate_audio", True, "generate_audio", "audio_generation"),
    ("watermark", True, "watermark", "watermark"),
    ("return_last_frame", True, "return_last_frame", "last_frame"),
]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            replace(INPUT, aspect_ratio="21:9"),
            'Field input.aspect_ratio must be one of 16:9 for model mini. It was "21:9".',
        ),
        *(
            (
                replace(INPUT, **{part: value}),
                f"Field input.{name} asks for {capability}, which model mini does not support.",
            )
            for part, value, name, capability in LACKING
        ),
    ],
)
async def test_a_model_does_only_what_the_catalogue_says(wanted: Any, message: str) -> None:
    plain = replace(OFFERS["mini"].model, aspect_ratios=("16:9",), capabilities=())
    shop = Shop(catalogue=replace(CATALOGUE, models=(plain,)))

    with pytest.raises(ServiceError) as refused:
        await shop.create(input=wanted)

    assert refused.value.message == message
    assert not shop.ledger.amount


async def test_without_credits_nothing_is_stored() -> None:
    shop = Shop(ledger=FakeLedger(available_micros={PURSE: 49_999_999}))

    with pytest.raises(ServiceError) as refused:
        await shop.create()

    assert refused.value.reason is Reason.CREDITS_INSUFFICIENT
    assert not shop.jobs.jobs


async def test_a_hold_without_a_job_is_given_back() -> None:
    shop = Shop(jobs=FakeJobs(outage=ConnectionError("database")))

    with pytest.raises(ConnectionError):
        await shop.create()

    assert list(shop.ledger.state.values()) == ["released"]


async def test_the_first_error_is_told_when_the_release_fails_too() -> None:
    class Unreleasable(FakeLedger):
        async def release(self, hold_id: str) -> None:
            raise ServiceError(Reason.UNAVAILABLE, "billing")

    ledger = Unreleasable(available_micros={PURSE: 50_000_000})
    shop = Shop(jobs=FakeJobs(outage=ConnectionError("database")), ledger=ledger)

    with pytest.raises(ConnectionError):
        await shop.create()


@pytest.mark.parametrize(
    "owner",
    [replace(OWNER, account_id="acct_2"), replace(OWNER, environment="test")],
    ids=["account", "environment"],
)
async def test_other_owners_jobs_are_not_there(owner: Any) -> None:
    job = a_job()
    jobs = FakeJobs({job.id: job})

    with pytest.raises(ServiceError) as refused:
        await jobs.get(job.id, owner=owner)

    assert await jobs.get(job.id, owner=OWNER) == job
    assert refused.value.reason is Reason.JOB_NOT_FOUND
    assert refused.value.message == f'There is no task "{job.id}".'


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (2, [2]), (3, [3]), (4, [3, 1]), (6, [3, 3])])
async def test_pages_end_where_the_jobs_end(count: int, sizes: list[int]) -> None:
    stored = [a_job(id=f"vid_{number:026d}") for number in range(count)]
    jobs = FakeJobs({job.id: job for job in stored})
    operations = job_operations(jobs, ledger=FakeLedger())
    pages: list[list[Job]] = []
    after: str | None = None
    while not pages or after is not None:
        page, after = await operations.page(owner=OWNER, status=None, before_id=after, limit=3)
        pages.append(page)

    assert [len(page) for page in pages] == sizes
    assert [job for page in pages for job in page] == stored[::-1]


async def test_usage_is_summed_over_all_by_model_and_by_day() -> None:
    day = datetime(2026, 7, 1, tzinfo=UTC)
    ended = {"status": Status.COMPLETED, "charged_micros": 80_000_000}
    failed = {"status": Status.FAILED, "refunded_micros": 100_000_000}
    histories: list[dict[str, Any]] = [
        {"created_at": day, "model": "pro", **ended},
        {"created_at": day, "model": "mini", **failed},
        {"created_at": day + timedelta(days=1), "model": "pro"},
        {"created_at": day + timedelta(days=2), "model": "mini", "status": Status.PROCESSING},
    ]
    stored = [a_job(id=f"vid_{number}", **history) for number, history in enumerate(histories)]
    jobs = FakeJobs({job.id: job for job in stored})

    usage = await get_usage(owner=OWNER, start=day, end=day + timedelta(days=30), days_max=2, jobs=jobs)

    assert (usage.summary.total, usage.summary.pending, usage.summary.processing) == (4, 1, 1)
    assert (usage.summary.charged_micros, usage.summary.refunded_micros) == (180_000_000, 100_000_000)
    assert usage.summary.net_micros == 80_000_000
    assert [(model, tally.total, tally.net_micros) for model, tally in usage.by_model] == [
        ("mini", 2, 0),
        ("pro", 2, 80_000_000),
    ]
    assert [(found, tally.total) for found, tally in usage.timeline] == [
        (date(2026, 7, 2), 1),
        (date(2026, 7, 3), 1),
    ]

"""What a job is charged, whatever its provider delivers."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.jobs.domain.job import DURATION_TOLERANCE_SECONDS, Job, charge_micros
from tests.unit.jobs.samples import INPUT, a_job


@st.composite
def priced_jobs(draw: st.DrawFn) -> Job:
    """Jobs as they are priced: seconds times the price of one."""
    seconds = draw(st.integers(min_value=4, max_value=15))
    rate = draw(st.integers(min_value=1, max_value=10**12))
    return a_job(
        input=replace(INPUT, duration_seconds=seconds),
        micros_per_second=rate,
        reserved_micros=seconds * rate,
    )


delivered = st.floats(min_value=0, max_value=10**6, allow_nan=False)


@given(priced_jobs(), delivered)
def test_nothing_is_charged_above_what_was_reserved_nor_above_what_was_delivered(
    job: Job, seconds: float
) -> None:
    charged = charge_micros(job, seconds)

    assert 0 <= charged <= job.reserved_micros
    assert charged <= job.micros_per_second * (seconds + DURATION_TOLERANCE_SECONDS)


@given(priced_jobs(), delivered)
def test_a_whole_clip_or_a_longer_one_is_charged_as_reserved(job: Job, extra_seconds: float) -> None:
    whole = job.input.duration_seconds - DURATION_TOLERANCE_SECONDS + extra_seconds

    assert charge_micros(job, whole) == job.reserved_micros


@given(priced_jobs(), st.data())
def test_a_shorter_clip_is_charged_by_its_whole_seconds(job: Job, drawn: st.DataObject) -> None:
    shortest_whole = job.input.duration_seconds - DURATION_TOLERANCE_SECONDS
    seconds = drawn.draw(st.floats(min_value=0, max_value=shortest_whole, exclude_max=True))

    charged = charge_micros(job, seconds)

    assert charged == job.micros_per_second * int(seconds)
    assert charged < job.reserved_micros


@given(priced_jobs(), delivered, delivered)
def test_more_is_never_charged_less(job: Job, one: float, other: float) -> None:
    shorter, longer = sorted((one, other))

    assert charge_micros(job, shorter) <= charge_micros(job, longer)

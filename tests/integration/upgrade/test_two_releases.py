"""The release before and this version serve together while one replaces the other, and no customer notices.

`make check-upgrade` does the same with more load and the way back, and runs the tests of the release before on the new schema.
"""

from tests.upgrade.drill import run_drill
from tests.upgrade.previous import previous_revision

REQUESTS_EACH = 12


async def test_no_request_fails_and_no_job_is_lost_while_this_version_replaces_the_one_before() -> None:
    outcome = await run_drill(
        previous_revision(), customers_each=1, requests_each=REQUESTS_EACH, rolls_back=False
    )

    assert outcome.problems() == []
    assert outcome.record.requests["both releases"] >= REQUESTS_EACH
    assert set(outcome.record.ended) == set(outcome.record.hooks)

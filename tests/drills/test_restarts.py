"""Every Deployment is restarted while customers go on. The long drill is drill_restarts.py."""

from tests.drills.restarts import DEPLOYMENTS, busy_cluster


async def test_a_restart_of_everything_fails_no_request_and_loses_no_job() -> None:
    async with busy_cluster(customers_each=2) as (cluster, outcome):
        async with outcome.waiters.waiting():
            await cluster.replace(*DEPLOYMENTS)
        await cluster.replace_edge()

    assert outcome.problems() == []
    assert outcome.record.ended
    # Both contracts, and more often where one connects again to the process that stops.
    assert outcome.waiters.told_early >= 2
    assert outcome.waiters.farewells >= 2

"""A route is blamed for every render that it failed, also for the one after which the job is given up."""

from services.common.postgres.database import Pool
from services.jobs.store.queue.blame import FAILURES_MAX
from services.jobs.timing import RENDERS_MAX
from tests.integration.jobs.conftest import a_job
from tests.integration.jobs.two_routes import ChattyProvider, TwoRoutes, World


async def test_the_last_failed_render_of_a_job_counts_like_those_before(jobs_pool: Pool) -> None:
    failing = ChattyProvider("alpha", World(), tasks=["unavailable"] * RENDERS_MAX)
    routes = TwoRoutes(jobs_pool, [failing])
    await routes.store(a_job())

    await routes.play()

    [job] = await routes.sql("SELECT status FROM jobs")
    [route] = await routes.sql("SELECT render_failures, last_error_class, opened_until FROM route_states")
    assert job["status"] == "failed"
    assert route == {
        "render_failures": RENDERS_MAX,
        "last_error_class": "unavailable",
        "opened_until": None,
    }


async def test_last_renders_alone_open_a_route(jobs_pool: Pool) -> None:
    routes = TwoRoutes(jobs_pool, [ChattyProvider("alpha", World(), tasks=["unavailable"] * RENDERS_MAX)])
    await routes.store(a_job())
    await routes.sql(
        f"INSERT INTO route_states (name, render_failures) VALUES ('alpha', {FAILURES_MAX - RENDERS_MAX})"
    )

    await routes.play()

    [route] = await routes.sql("SELECT render_failures, opened_until > now() AS is_open FROM route_states")
    assert route == {"render_failures": FAILURES_MAX, "is_open": True}

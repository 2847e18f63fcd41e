"""A job whose customer named a seed is rendered where seeds are taken, if anywhere; others are rendered anywhere."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from services.common.postgres.database import Pool
from services.jobs.domain.catalogue import SIMULATED
from services.jobs.domain.routes import Choice
from services.jobs.routing import Chooser
from services.jobs.store.queue.work import SqlWork
from tests.integration.jobs.api import Api, running_api
from tests.unit.jobs.samples import CATALOGUE

SEEDLESS = Choice(
    route=replace(SIMULATED.route, name="seedless", features=replace(SIMULATED.route.features, seed=False)),
    priority=1,
    weight=1,
)
SEEDED = replace(SEEDLESS, route=replace(SIMULATED.route, name="seeded"), priority=2)
IN_FORCE = replace(CATALOGUE, choices_by_model={model.id: (SEEDLESS, SEEDED) for model in CATALOGUE.models})


@pytest.fixture
async def api(jobs_pool: Pool) -> AsyncIterator[Api]:
    async with running_api(jobs_pool, catalogue=lambda: IN_FORCE) as running:
        yield running


@pytest.mark.parametrize("method", ["Video.CreateVideo", "Job.CreateJob"])
@pytest.mark.parametrize(
    ("fields", "routes"), [({"seed": 0}, ["seeded"]), ({}, ["seedless", "seeded"])], ids=["named", "random"]
)
async def test_routes_with_seeds_are_preferred_for_a_named_seed(
    method: str, fields: dict[str, Any], routes: list[str], api: Api, jobs_pool: Pool
) -> None:
    is_nextapi = method == "Job.CreateJob"
    contract, model = ("nextapi", "seedance-2.0-pro") if is_nextapi else ("seedancee2", "pro")
    body = {"prompt": "x", **fields}

    await api.call(
        method,
        {"model": model, **(body if is_nextapi else {"input": body})},
        key=api.add_key(contract=contract),
    )
    [claim] = await SqlWork(jobs_pool).claim(limit=1, lease_seconds=600)

    found = Chooser(lambda: IN_FORCE).candidates(claim.job, "attempt-1")
    assert [candidate.route for candidate in found] == routes

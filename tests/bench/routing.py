"""What it takes to choose among fifty routes."""

import time
from dataclasses import replace
from statistics import median

from services.jobs.catalogue.load import load_catalogue
from services.jobs.domain.routes import Choice
from services.jobs.routing import Chooser
from services.jobs.settings import JobsSettings
from tests.bench.report import Row
from tests.unit.jobs.samples import JOB

ROUTES = 50
JOBS = 500
ROUNDS = 5


async def measure_routing() -> list[Row]:
    """Measures the choice alone, in this process: no database and no network."""
    catalogue = load_catalogue(JobsSettings.model_fields["catalogue_file"].default).catalogue
    [first, *_] = catalogue.choices_by_model[JOB.model]
    routes = [replace(first.route, name=f"route-{number}") for number in range(ROUTES)]
    choices = tuple(
        Choice(route=route, priority=number % 3, weight=1 + number % 7) for number, route in enumerate(routes)
    )
    crowded = replace(
        catalogue,
        routes={route.name: route for route in routes},
        choices_by_model={JOB.model: choices},
        models=tuple(model for model in catalogue.models if model.id == JOB.model),
        live_on_simulator=False,
    )
    chooser = Chooser(lambda: crowded)
    job = replace(JOB, owner=replace(JOB.owner, environment="live"))
    assert len(chooser.candidates(job, "warm")) == ROUTES
    rounds = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        for attempt in range(JOBS):
            chooser.candidates(job, f"vid_{number}-{attempt}")
        rounds.append((time.perf_counter() - started) / JOBS * 1e6)
    return [
        Row(
            name=f"choosing among {ROUTES} routes, µs a job",
            measured=median(rounds),
            best=min(rounds),
            must=100,
            goal=60,
            better="lower",
        )
    ]

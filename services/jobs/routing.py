"""Which route renders which job."""

from collections.abc import Callable

from services.jobs.domain.catalogue import Catalogue
from services.jobs.domain.claims import Route
from services.jobs.domain.job import Job


def route_of(current: Callable[[], Catalogue], job: Job) -> Route:
    """Returns the first route that has everything that a job asks. Raises LookupError if there is none any more."""
    choices = current().choices(job.model, job.owner, job.input.asked(names_seed=False))
    if not choices:
        raise LookupError(f"no route of {job.model} can do what job {job.id} asks")
    route = choices[0].route
    return Route(name=route.name, upstream_model=route.upstream_model)

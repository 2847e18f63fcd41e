"""The providers, and which of them renders which job."""

import aiohttp

from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import origin_of
from services.jobs.catalogue import UpstreamNames
from services.jobs.domain.claims import Route
from services.jobs.domain.job import Job
from services.jobs.ports import Providers
from services.jobs.settings import JobsSettings
from services.upstream.measured import MeasuredProvider
from services.upstream.providers.ark.adapter import ArkProvider

ARK, SIMULATOR = "ark", "simulator"
"""Names of routes."""


def provider_policy(settings: JobsSettings) -> UrlPolicy:
    """Returns which addresses providers may have, and from which results may be fetched."""
    own = frozenset({origin_of(settings.ark_base_url), origin_of(settings.simulator_base_url)})
    return UrlPolicy(origins_trusted=own | settings.result_origins_allowed)


def providers_of(settings: JobsSettings, session: aiohttp.ClientSession) -> Providers:
    """Returns the providers of both environments. `test` never has one that costs money, whatever is configured."""
    # The simulator uses the seed; ModelArk documents none for the models that we use.
    simulator = ArkProvider(
        session=session,
        base_url=settings.simulator_base_url,
        api_key=settings.simulator_api_key.get_secret_value(),
        sends_seed=True,
    )
    everywhere = {SIMULATOR: MeasuredProvider(simulator, route=SIMULATOR)}
    if settings.ark_api_key is None:
        return {"live": everywhere, "test": everywhere}
    live = ArkProvider(
        session=session, base_url=settings.ark_base_url, api_key=settings.ark_api_key.get_secret_value()
    )
    return {"live": {**everywhere, ARK: MeasuredProvider(live, route=ARK)}, "test": everywhere}


def route_of(live_provider: str, upstream_names: UpstreamNames, job: Job) -> Route:
    """Returns which provider renders a job: the configured one for `live`, the simulator for `test`."""
    name = live_provider if job.owner.environment == "live" else SIMULATOR
    return Route(name=name, upstream_model=upstream_names[job.model]["ark"])

"""Which providers there are, and which of them render for whom."""

import aiohttp

from services.common.egress.policy import UrlPolicy
from services.common.egress.urls import origin_of
from services.jobs.catalogue import UpstreamNames
from services.jobs.domain.claims import Route
from services.jobs.domain.job import Job
from services.jobs.ports import Providers
from services.jobs.settings import JobsSettings
from services.upstream.providers.ark.adapter import ArkProvider

ARK, SIMULATOR = "ark", "simulator"
"""Names of routes."""


def provider_policy(settings: JobsSettings) -> UrlPolicy:
    """Returns where providers may be reached, and where they may say that a result lies."""
    own = frozenset({origin_of(settings.ark_base_url), origin_of(settings.simulator_base_url)})
    return UrlPolicy(origins_trusted=own | settings.result_origins_allowed)


def providers_of(settings: JobsSettings, session: aiohttp.ClientSession) -> Providers:
    """Returns the providers of either environment. What costs money is none of `test`, whatever is configured."""
    # The simulator draws from the seed; ModelArk documents none for the models we ask it for.
    simulator = ArkProvider(
        session=session,
        base_url=settings.simulator_base_url,
        api_key=settings.simulator_api_key.get_secret_value(),
        sends_seed=True,
    )
    everywhere = {SIMULATOR: simulator}
    if settings.ark_api_key is None:
        return {"live": everywhere, "test": everywhere}
    live = ArkProvider(
        session=session, base_url=settings.ark_base_url, api_key=settings.ark_api_key.get_secret_value()
    )
    return {"live": {**everywhere, ARK: live}, "test": everywhere}


def route_of(live_provider: str, upstream_names: UpstreamNames, job: Job) -> Route:
    """Returns which provider renders a job: of live ones that of the settings, of all others the simulator."""
    name = live_provider if job.owner.environment == "live" else SIMULATOR
    return Route(name=name, upstream_model=upstream_names[job.model]["ark"])

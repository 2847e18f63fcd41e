"""What `python -m services.jobs check` looks at."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import psycopg

from services.common.clock import Clock, utc_now
from services.common.diagnosis.findings import Check, Finding
from services.common.diagnosis.service import file_finding, neighbour_check, service_checks
from services.common.egress.session import open_egress_session
from services.common.ids import new_token
from services.common.postgres.database import open_pool
from services.jobs.catalogue.current import CurrentCatalogue
from services.jobs.catalogue.problems import CatalogueError
from services.jobs.domain.catalogue import SIMULATED
from services.jobs.domain.routes import SIMULATOR
from services.jobs.moderation import ModerationError, load_profiles
from services.jobs.operations.routes import RouteOperations
from services.jobs.providers import CatalogueProviders, provider_policy, read_catalogue
from services.jobs.settings import JobsSettings
from services.jobs.store.routes import SqlRoutes
from services.jobs.tables import metadata
from services.media.errors import MediaUnavailableError
from services.media.names import STAGED_FOLDER
from services.media.store import MediaStore
from services.upstream.provider import BrokenError, Provider, UnsearchableError, UpstreamError

ACCEPT_EVENTS = "/reelgate.internal.intake.v1.IntakeService/AcceptEvents"
"""Refuses a request without events."""
LIST_PRICES = "/reelgate.internal.prices.v1.PriceService/ListPrices"
ANSWER_SECONDS_MAX = 10.0
NO_TASK = "check"
"""A correlation id that no task carries: looking for it reads a list of tasks, and costs nothing."""


Environment = Mapping[str, str]
"""Variables with the keys that the catalogue names."""
NOTHING_SET: Environment = MappingProxyType({})


def checks_of(
    settings: JobsSettings, *, environment: Environment = NOTHING_SET, clock: Clock = utc_now
) -> Sequence[Check]:
    """Returns the checks of jobs."""
    return (
        *service_checks(
            settings, service="jobs", tables=metadata.tables, addresses=(settings.admin_address,), clock=clock
        ),
        Check("catalogue", partial(_look_at_files, settings, environment)),
        neighbour_check("billing", settings.billing_target, method=LIST_PRICES, settings=settings),
        neighbour_check("webhooks", settings.webhooks_target, method=ACCEPT_EVENTS, settings=settings),
        Check("provider", partial(_look_at_providers, settings, environment, clock)),
        Check("credentials", partial(_look_at_credentials, settings, environment)),
        Check("media store", partial(_look_at_store, settings)),
    )


async def _look_at_files(settings: JobsSettings, environment: Environment) -> list[Finding]:
    found = []
    try:
        read_catalogue(settings, environment)
    except CatalogueError as error:
        found.append(file_finding("CATALOGUE_FILE", error))
    try:
        load_profiles(settings.moderation_file)
    except ModerationError as error:
        found.append(file_finding("MODERATION_FILE", error))
    return found


async def _look_at_providers(settings: JobsSettings, environment: Environment, clock: Clock) -> list[Finding]:
    """Lists tasks with every key of every provider that jobs may use."""
    try:
        current = CurrentCatalogue(settings.catalogue_file, partial(read_catalogue, settings, environment))
    except CatalogueError:
        return []  # a finding about the catalogue says so
    routes = (SIMULATED.route, *current().routes.values())
    models = {route.credential: route.upstream_model for route in routes}
    found = []
    async with open_egress_session(provider_policy(settings, current), connections_max=1) as session:
        opened = CatalogueProviders(settings, session, current)["live"]
        for name in (SIMULATOR, *(f"{credential}/{key}" for credential, key in current.in_force.key_names)):
            credential = name.partition("/")[0]
            look = partial(_ask, opened[name], model=models.get(credential, NO_TASK), clock=clock)
            found += await _look_at_provider(name, look)
    return found


async def _look_at_credentials(settings: JobsSettings, environment: Environment) -> list[Finding]:
    """Reads which credentials get no new tasks, because their providers refused the keys that are in use."""
    try:
        current = CurrentCatalogue(settings.catalogue_file, partial(read_catalogue, settings, environment))
    except CatalogueError:
        return []  # a finding about the catalogue says so
    try:
        async with open_pool(settings.database_url, name="check", connections_max=1) as pool:
            known = RouteOperations(catalogue=current, states=SqlRoutes(pool), notify=lambda: None)
            views = await known.credentials()
    except psycopg.Error:
        return []  # a finding about the database says so
    return [
        Finding(
            subject=f"credential {view.credential.name}",
            problem=f"it is out of use: its provider refused key {view.key_in_use} ({view.reading.out_reason})",
            remedy=f"Mend that, and run `reelgate credential enable {view.credential.name}`, or rotate its key",
        )
        for view in views
        if view.is_out
    ]


async def _look_at_provider(name: str, look: Callable[[], Awaitable[None]]) -> list[Finding]:
    credential, _, key = name.partition("/")
    where, what = f"credentials.{credential} of the catalogue", f"key {key}"
    if name == SIMULATOR:
        where, what = "SIMULATOR_BASE_URL", "SIMULATOR_API_KEY"
    subject = f"provider {name}"
    try:
        await look()
    except BrokenError as error:
        return [
            Finding(
                subject=subject, problem=f"it refuses us: {error}", remedy=f"Correct {what}, or see {where}"
            )
        ]
    except UpstreamError as error:
        return [
            Finding(
                subject=subject,
                problem=f"it cannot be asked: {error}",
                remedy=f"Correct {where}, or let this network reach it",
            )
        ]
    return []


async def _ask(provider: Provider, *, model: str, clock: Clock) -> None:
    """Asks for what is not there. Raises what `Provider` says."""
    try:
        await provider.find(
            NO_TASK, model=model, created_after=clock().timestamp(), timeout_seconds=ANSWER_SECONDS_MAX
        )
    except UnsearchableError:
        await provider.check(NO_TASK, timeout_seconds=ANSWER_SECONDS_MAX)


async def _look_at_store(settings: JobsSettings) -> list[Finding]:
    """Stores a small object where nobody sees it, and deletes it."""
    name = f"{STAGED_FOLDER}/check.{new_token()}"
    try:
        store = MediaStore.open(settings.media_store_url, public_base_url=settings.media_base_url)
        await store.put(name, b"check", media_type="text/plain", timeout_seconds=ANSWER_SECONDS_MAX)
        await store.delete(name, timeout_seconds=ANSWER_SECONDS_MAX)
    except (MediaUnavailableError, ValueError, OSError) as error:
        return [
            Finding(
                subject="media store",
                problem=f"{settings.media_store_url} takes no objects: {error}",
                remedy="Correct MEDIA_STORE_URL and the credentials of the bucket, or let this user write to the folder",
            )
        ]
    return []

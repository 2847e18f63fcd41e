"""What `python -m services.jobs check` looks at."""

from collections.abc import Sequence
from functools import partial

from services.common.clock import Clock, utc_now
from services.common.diagnosis.findings import Check, Finding
from services.common.diagnosis.service import file_finding, neighbour_check, service_checks
from services.common.egress.session import open_egress_session
from services.common.ids import new_token
from services.jobs.catalogue import CatalogueError, load_catalogue
from services.jobs.moderation import ModerationError, load_profiles
from services.jobs.routing import provider_policy, providers_of
from services.jobs.settings import JobsSettings
from services.jobs.tables import metadata
from services.media.errors import MediaUnavailableError
from services.media.names import STAGED_FOLDER
from services.media.store import MediaStore
from services.upstream.provider import BrokenError, UpstreamError

ACCEPT_EVENTS = "/reelgate.internal.intake.v1.IntakeService/AcceptEvents"
"""Refuses a request without events."""
LIST_PRICES = "/reelgate.internal.prices.v1.PriceService/ListPrices"
ANSWER_SECONDS_MAX = 10.0
NO_TASK = "check"
"""A correlation id that no task carries: looking for it reads a list of tasks, and costs nothing."""


def checks_of(settings: JobsSettings, *, clock: Clock = utc_now) -> Sequence[Check]:
    """Returns the checks of jobs."""
    return (
        *service_checks(
            settings, service="jobs", tables=metadata.tables, addresses=(settings.admin_address,), clock=clock
        ),
        Check("catalogue", partial(_look_at_files, settings)),
        neighbour_check("billing", settings.billing_target, method=LIST_PRICES, settings=settings),
        neighbour_check("webhooks", settings.webhooks_target, method=ACCEPT_EVENTS, settings=settings),
        Check("provider", partial(_look_at_providers, settings, clock)),
        Check("media store", partial(_look_at_store, settings)),
    )


async def _look_at_files(settings: JobsSettings) -> list[Finding]:
    found = []
    try:
        load_catalogue(settings.catalogue_file)
    except CatalogueError as error:
        found.append(file_finding("CATALOGUE_FILE", error))
    try:
        load_profiles(settings.moderation_file)
    except ModerationError as error:
        found.append(file_finding("MODERATION_FILE", error))
    return found


async def _look_at_providers(settings: JobsSettings, clock: Clock) -> list[Finding]:
    """Lists tasks with the credentials of every provider that jobs may use."""
    try:
        _, upstream_names = load_catalogue(settings.catalogue_file)
    except CatalogueError:
        return []  # a finding about the catalogue says so
    model = next(iter(upstream_names.values()))["ark"]
    found = []
    async with open_egress_session(provider_policy(settings), connections_max=1) as session:
        for name, provider in providers_of(settings, session)["live"].items():
            try:
                await provider.find(
                    NO_TASK,
                    model=model,
                    created_after=clock().timestamp(),
                    timeout_seconds=ANSWER_SECONDS_MAX,
                )
            except BrokenError as error:
                found.append(
                    Finding(
                        subject=f"provider {name}",
                        problem=f"it refuses us: {error}",
                        remedy=f"Correct {name.upper()}_API_KEY or {name.upper()}_BASE_URL",
                    )
                )
            except UpstreamError as error:
                found.append(
                    Finding(
                        subject=f"provider {name}",
                        problem=f"it cannot be asked: {error}",
                        remedy=f"Correct {name.upper()}_BASE_URL, or let this network reach it",
                    )
                )
    return found


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

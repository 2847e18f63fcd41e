"""The one place where an attempt becomes a provider to call."""

from services.jobs.domain.claims import Attempt
from services.jobs.ports import Providers
from services.upstream.provider import Provider, UpstreamError


class UnreachableRouteError(UpstreamError):
    """An attempt names a provider that jobs of its environment must not reach, or that was taken out of the settings.

    Nobody was called.
    """


def provider_of(attempt: Attempt, environment: str, providers: Providers) -> Provider:
    """Returns the provider of an attempt, among those of an environment only. Raises UnreachableRouteError."""
    return provider_at(
        attempt.route,
        environment,
        providers,
        credential=attempt.credential,
        key_name=attempt.key_name,
        attempt_id=attempt.id,
    )


def provider_at(
    route: str, environment: str, providers: Providers, *, credential: str, key_name: str, attempt_id: str
) -> Provider:
    """Returns the provider that a route of an attempt leads to. Raises UnreachableRouteError.

    It has the key with which the task was ordered, or the first one of the credential if that key is not in the catalogue
    any more. Attempts of former releases name no credential: their routes were called like theirs.
    """
    opened = providers[environment]
    provider = opened.get(f"{credential}/{key_name}") or opened.get(credential or route)
    if provider is None:
        raise UnreachableRouteError(f"attempt {attempt_id} of environment {environment} names route {route}")
    return provider

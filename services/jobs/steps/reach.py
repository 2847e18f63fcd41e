"""The one place where an attempt becomes a provider to call."""

from services.jobs.domain import Attempt, Claim
from services.jobs.ports import Providers
from services.upstream.contract import Provider


class UnreachableRouteError(Exception):
    """An attempt names a provider that jobs of its environment must not reach. Nobody was called."""


def attempt_of(claim: Claim, providers: Providers) -> tuple[Attempt, Provider]:
    """Returns the attempt of a job and its provider, among those of the job's environment only.

    Raises UnreachableRouteError.
    """
    assert claim.attempt is not None
    return claim.attempt, provider_of(claim.attempt, claim.job.owner.environment, providers)


def provider_of(attempt: Attempt, environment: str, providers: Providers) -> Provider:
    """Returns the provider of an attempt, among those of an environment only. Raises UnreachableRouteError."""
    provider = providers[environment].get(attempt.route)
    if provider is None:
        raise UnreachableRouteError(
            f"attempt {attempt.id} of environment {environment} names route {attempt.route}"
        )
    return provider

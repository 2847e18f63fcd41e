"""What webhooks refuses, and the sentence that says so."""

from services.common.errors import Reason, ServiceError
from services.webhooks.domain import ENDPOINTS_MAX, LISTENERS_MAX


def endpoint_not_found(endpoint_id: str) -> ServiceError:
    """Returns the refusal of an endpoint that the owner does not have."""
    return ServiceError(
        Reason.ENDPOINT_NOT_FOUND, f"There is no webhook endpoint {endpoint_id}.", endpoint_id=endpoint_id
    )


def endpoint_disabled(endpoint_id: str) -> ServiceError:
    """Returns the refusal of an endpoint that nothing is delivered to."""
    return ServiceError(
        Reason.ENDPOINT_DISABLED,
        f"Webhook endpoint {endpoint_id} is disabled or deleted. Enable it first.",
        endpoint_id=endpoint_id,
    )


def endpoint_not_rotating(endpoint_id: str) -> ServiceError:
    """Returns the refusal to confirm a secret of an endpoint that has no new one."""
    return ServiceError(
        Reason.ENDPOINT_NOT_ROTATING,
        f"Webhook endpoint {endpoint_id} has no new secret to confirm. Rotate it first.",
        endpoint_id=endpoint_id,
    )


def endpoint_limit_reached() -> ServiceError:
    """Returns the refusal of one endpoint too many."""
    return ServiceError(
        Reason.ENDPOINT_LIMIT_REACHED,
        f"There are {ENDPOINTS_MAX} webhook endpoints already. Delete one first.",
        endpoints_max=str(ENDPOINTS_MAX),
    )


def delivery_not_found() -> ServiceError:
    """Returns the refusal of a delivery that the owner does not have."""
    return ServiceError(Reason.DELIVERY_NOT_FOUND, "There is no such webhook delivery.")


def delivery_pending() -> ServiceError:
    """Returns the refusal to repeat a delivery that has not ended."""
    return ServiceError(Reason.DELIVERY_PENDING, "This webhook delivery is already under way.")


def redelivery_not_found(redelivery_id: str) -> ServiceError:
    """Returns the refusal of a redelivery that the owner does not have."""
    return ServiceError(Reason.REDELIVERY_NOT_FOUND, f"There is no webhook redelivery {redelivery_id}.")


def listener_not_found(listener_id: str) -> ServiceError:
    """Returns the refusal of a listener that the owner does not have, or no more."""
    return ServiceError(
        Reason.LISTENER_NOT_FOUND,
        f"There is no webhook listener {listener_id}, or it has ended. Make another one.",
        listener_id=listener_id,
    )


def listener_limit_reached() -> ServiceError:
    """Returns the refusal of one listener too many."""
    return ServiceError(
        Reason.LISTENER_LIMIT_REACHED,
        f"There are {LISTENERS_MAX} webhook listeners already. Delete one first.",
        listeners_max=str(LISTENERS_MAX),
    )


def signing_not_found(account_id: str) -> ServiceError:
    """Returns the refusal of an account that has no signing secret."""
    return ServiceError(
        Reason.ACCOUNT_NOT_FOUND,
        f"No webhooks are signed for account {account_id}: it has no signing secret.",
        account_id=account_id,
    )


def signing_not_rotating(account_id: str, environment: str) -> ServiceError:
    """Returns the refusal to confirm a signing secret of an account that has no new one."""
    return ServiceError(
        Reason.SIGNING_NOT_ROTATING,
        f"Account {account_id} has no new signing secret to confirm in {environment}. Rotate it first.",
        account_id=account_id,
        environment=environment,
    )

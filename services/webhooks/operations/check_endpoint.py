from collections.abc import Callable

from services.common.egress.policy import ForbiddenUrlError
from services.common.errors import invalid_field
from services.webhooks.domain import ENDPOINT_DISABLED, JOB_EVENTS, EndpointChange

CheckUrl = Callable[[str], None]
"""Raises ForbiddenUrlError for an address that nobody may be sent to."""


def check_endpoint(wanted: EndpointChange, *, contract: str, check_url: CheckUrl) -> None:
    """Refuses an address or events that an endpoint cannot have, with INVALID_FIELD."""
    if wanted.url is not None:
        try:
            check_url(wanted.url)
        except ForbiddenUrlError as error:
            raise invalid_field("url", error.why, wanted.url) from error
    allowed = (*JOB_EVENTS[contract], ENDPOINT_DISABLED)
    for index, event in enumerate(wanted.events or ()):
        if event not in allowed:
            raise invalid_field(f"events[{index}]", f"must be one of {', '.join(allowed)}", event)

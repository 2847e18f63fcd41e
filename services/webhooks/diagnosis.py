"""What `python -m services.webhooks check` looks at."""

from collections.abc import Sequence

from services.common.clock import Clock, utc_now
from services.common.diagnosis.findings import Check
from services.common.diagnosis.service import neighbour_check, service_checks
from services.webhooks.settings import WebhooksSettings
from services.webhooks.tables import metadata

LOOK_UP_KEY = "/reelgate.internal.keys.v1.KeyService/LookUpKey"
"""Refuses a request without a key."""


def checks_of(settings: WebhooksSettings, *, clock: Clock = utc_now) -> Sequence[Check]:
    """Returns the checks of webhooks."""
    return (
        *service_checks(
            settings,
            service="webhooks",
            tables=metadata.tables,
            addresses=(settings.internal_address, settings.admin_address),
            clock=clock,
        ),
        neighbour_check("billing", settings.billing_target, method=LOOK_UP_KEY, settings=settings),
    )

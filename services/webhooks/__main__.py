"""Chooses a process: `python -m services.webhooks api | dispatcher | all | migrate | wait-migrated | check`."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from services.common.extras import needs_extra

with needs_extra("services"):
    from services.common.diagnosis.findings import Check
    from services.common.leave import leave
    from services.common.process import run_service
    from services.webhooks.settings import WebhooksSettings
    from services.webhooks.wiring import Role, open_webhooks


def checks_of(settings: WebhooksSettings) -> Sequence[Check]:
    """Returns what `check` looks at."""
    from services.webhooks import diagnosis

    return diagnosis.checks_of(settings)


PROCESSES = {
    "api": (
        "take events over from other services, and serve operators",
        partial(open_webhooks, role=Role.API),
    ),
    "dispatcher": ("deliver", partial(open_webhooks, role=Role.DISPATCHER)),
    "all": ("both in one process", partial(open_webhooks, role=Role.ALL)),
}


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a process to its end and returns its exit code."""
    return run_service(
        "webhooks",
        kind=WebhooksSettings,
        processes=PROCESSES,
        checks_of=checks_of,
        arguments=arguments,
        environment=environment,
    )


if __name__ == "__main__":
    leave(main(sys.argv[1:], os.environ))

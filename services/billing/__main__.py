"""Chooses a process: `python -m services.billing api | all | migrate | wait-migrated | check`."""

import os
import sys
from collections.abc import Sequence

from services.common.extras import needs_extra

with needs_extra("services"):
    from services.billing.settings import BillingSettings
    from services.billing.wiring import open_billing
    from services.common.diagnosis.findings import Check
    from services.common.leave import leave
    from services.common.process import run_service


def checks_of(settings: BillingSettings) -> Sequence[Check]:
    """Returns what `check` looks at."""
    from services.billing import diagnosis

    return diagnosis.checks_of(settings)


PROCESSES = {
    "api": ("serve customers, other services and operators", open_billing),
    "all": ("every process of billing in one: the same as api", open_billing),
}

if __name__ == "__main__":
    leave(
        run_service(
            "billing",
            kind=BillingSettings,
            processes=PROCESSES,
            checks_of=checks_of,
            arguments=sys.argv[1:],
            environment=os.environ,
        )
    )

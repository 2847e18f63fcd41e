"""Chooses a process: `python -m services.billing api | all | migrate | wait-migrated | check`."""

import os
import sys

from services.common.extras import needs_extra

with needs_extra("services"):
    from services.billing.diagnosis import checks_of
    from services.billing.settings import BillingSettings
    from services.billing.wiring import open_billing
    from services.common.leave import leave
    from services.common.process import run_service

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

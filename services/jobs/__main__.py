"""Chooses a process: `python -m services.jobs api | worker | all | migrate | wait-migrated | check`."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from services.common.extras import needs_extra

with needs_extra("services"):
    from services.common.diagnosis.findings import Check
    from services.common.leave import leave
    from services.common.process import run_service
    from services.jobs.settings import JobsSettings
    from services.jobs.wiring.process import Role, open_jobs


def checks_of(settings: JobsSettings) -> Sequence[Check]:
    """Returns what `check` looks at."""
    from services.jobs import diagnosis

    return diagnosis.checks_of(settings, environment=os.environ)


PROCESSES = {
    "api": ("serve customers", partial(open_jobs, role=Role.API, environment=os.environ)),
    "worker": ("walk jobs through their steps", partial(open_jobs, role=Role.WORKER, environment=os.environ)),
    "all": ("both in one process", partial(open_jobs, role=Role.ALL, environment=os.environ)),
}


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a process to its end and returns its exit code."""
    return run_service(
        "jobs",
        kind=JobsSettings,
        processes=PROCESSES,
        checks_of=checks_of,
        arguments=arguments,
        environment=environment,
    )


if __name__ == "__main__":
    leave(main(sys.argv[1:], os.environ))

"""Chooses a process: `python -m services.jobs api | worker | all | migrate`."""

import os
import sys
from functools import partial

from services.common.process import run_service
from services.jobs.settings import JobsSettings
from services.jobs.wiring import open_jobs

PROCESSES = {
    "api": ("serve customers", partial(open_jobs, api=True, worker=False)),
    "worker": ("walk jobs through their steps", partial(open_jobs, api=False, worker=True)),
    "all": ("every process of jobs in one", partial(open_jobs, api=True, worker=True)),
}

if __name__ == "__main__":
    sys.exit(
        run_service(
            "jobs", kind=JobsSettings, processes=PROCESSES, arguments=sys.argv[1:], environment=os.environ
        )
    )

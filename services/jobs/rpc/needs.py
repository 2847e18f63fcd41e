"""What the servicers of both contracts are built from."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.common.clock import Clock
from services.jobs.convert.shared import CheckUrl
from services.jobs.domain.offers import Catalogue
from services.jobs.operations.cancel_job import Canceller
from services.jobs.operations.moderate_prompt import Moderate
from services.jobs.ports import Funds, Jobs, Ledger, Prices
from services.jobs.watch.event_stream import EventStreams
from services.jobs.watch.job_watch import JobWatch


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a servicer of jobs needs, whichever contract it speaks."""

    catalogue: Catalogue
    prices: Prices
    moderate: Moderate
    jobs: Jobs
    ledger: Ledger
    funds: Funds
    check_url: CheckUrl
    random_seed: Callable[[], int]
    new_id: Callable[[str, datetime], str]
    """By prefix, which is the contract's, and the moment of creation."""
    notify: Callable[[], None]
    """Wakes the workers."""
    clock: Clock
    watch: JobWatch
    streams: EventStreams
    canceller: Canceller

"""What owners do with jobs, over stores in memory."""

import itertools
from collections.abc import Callable
from datetime import datetime

from services.common.clock import Clock, utc_now
from services.jobs.domain.catalogue import Catalogue
from services.jobs.operations.jobs import JobOperations
from services.jobs.operations.models import ModelOperations
from services.jobs.operations.moderate_prompt import Moderate
from services.jobs.ports import Funds, Jobs, Ledger, Prices
from tests.fakes.jobs import FakeLedger, FakePrices, accepts_all
from tests.unit.jobs.samples import CATALOGUE, PRICES


def job_operations(
    jobs: Jobs,
    *,
    ledger: Ledger,
    funds: Funds | None = None,
    catalogue: Catalogue = CATALOGUE,
    prices: Prices | None = None,
    moderate: Moderate = accepts_all,
    new_id: Callable[[str, datetime], str] | None = None,
    clock: Clock = utc_now,
) -> JobOperations:
    """Returns them with everything that a test leaves open. Nobody hears of new jobs."""
    numbers = itertools.count()
    return JobOperations(
        jobs=jobs,
        models=ModelOperations(catalogue=lambda: catalogue, prices=prices or FakePrices(PRICES), clock=clock),
        moderate=moderate,
        ledger=ledger,
        funds=funds or FakeLedger(),
        new_id=new_id or (lambda prefix, _: f"{prefix}_{next(numbers):026d}"),
        notify=lambda: None,
        clock=clock,
    )

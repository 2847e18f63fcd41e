"""Accepting a job: priced, paid for, stored."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from services.common.clock import Clock, whole_milliseconds
from services.jobs.domain import Buyer, Catalogue, Job, NewVideo, Status
from services.jobs.operations.price_video import price_video
from services.jobs.ports import Jobs, Ledger, Prices


async def create_video(
    wanted: NewVideo,
    *,
    buyer: Buyer,
    catalogue: Catalogue,
    prices: Prices,
    ledger: Ledger,
    jobs: Jobs,
    new_id: Callable[[datetime], str],
    clock: Clock,
) -> Job:
    """Sets the price aside, stores the job and makes it due; every call makes another job.

    It is priced, and later settled, by the version of prices that holds when it is created.
    Refuses with MODEL_NOT_FOUND, INVALID_FIELD, CREDITS_INSUFFICIENT or SPEND_LIMIT_EXCEEDED; then nothing is stored or held.
    """
    # What customers are shown, and filter usage by, has milliseconds and no more.
    created_at = whole_milliseconds(clock())
    quote = await price_video(wanted, buyer=buyer, catalogue=catalogue, prices=prices, moment=created_at)
    job = Job(
        id=new_id(created_at),
        owner=buyer.owner,
        status=Status.PENDING,
        model=wanted.model,
        input=wanted.input,
        callback_url=wanted.callback_url,
        metadata_json=wanted.metadata_json,
        price_version=quote.price.version,
        micros_per_second=quote.price.micros_per_second,
        reserved_micros=quote.total_micros,
        created_at=created_at,
    )
    await ledger.hold(job.id, owner=job.owner, key_id=buyer.key_id, amount_micros=job.reserved_micros)
    try:
        await jobs.create(job)
    except Exception:
        # The hold expires by itself; giving it back now only spares the customer the wait.
        with suppress(Exception):
            await ledger.release(job.id)
        raise
    return job

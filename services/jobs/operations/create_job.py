"""Accepting a job: priced, paid for, stored."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

from services.common.clock import Clock, whole_milliseconds
from services.common.idempotency.reservation import ReservedId
from services.jobs.domain.job import Job
from services.jobs.domain.offers import Catalogue
from services.jobs.domain.requests import Buyer, NewJob
from services.jobs.domain.states import Status
from services.jobs.operations.idempotent_creation import find_reserved, store_reserved
from services.jobs.operations.magic_prompts import check_directive, refuse_if_asked
from services.jobs.operations.moderate_prompt import Moderate
from services.jobs.operations.price_job import price_job
from services.jobs.ports import Jobs, Ledger, Prices


async def create_job(
    wanted: NewJob,
    *,
    buyer: Buyer,
    catalogue: Catalogue,
    prices: Prices,
    moderate: Moderate,
    ledger: Ledger,
    jobs: Jobs,
    new_id: Callable[[datetime], str],
    clock: Clock,
    reserved: ReservedId | None = None,
) -> Job:
    """Sets the price aside, stores the job and makes it due; every call makes another job, unless its id is reserved.

    It is priced, and later settled, by the version of prices that holds when it is created.
    Refuses with MODEL_NOT_FOUND, INVALID_FIELD, CONTENT_REFUSED, CREDITS_INSUFFICIENT, SPEND_LIMIT_EXCEEDED or
    JOB_LIMIT_REACHED; then nothing is stored or held.
    """
    existing = await find_reserved(reserved, owner=buyer.owner, jobs=jobs)
    if existing is not None:
        return existing
    check_directive(wanted, environment=buyer.owner.environment)
    jobs.refuse_if_full(buyer.owner)
    # What customers are shown, and filter usage by, has milliseconds and no more.
    created_at = whole_milliseconds(clock())
    quote = await price_job(wanted, buyer=buyer, catalogue=catalogue, prices=prices, moment=created_at)
    job_id = new_id(created_at) if reserved is None else reserved.id
    job = Job(
        id=job_id,
        owner=buyer.owner,
        status=Status.PENDING,
        model=wanted.model,
        input=wanted.input,
        callback_url=wanted.callback_url,
        metadata_json=wanted.metadata_json,
        key_id=buyer.key_id,
        moderation_profile=await moderate(wanted, buyer, job_id),
        reference_fields=wanted.reference_fields,
        price_version=quote.price.version,
        micros_per_second=quote.price.micros_per_second,
        reserved_micros=quote.total_micros,
        created_at=created_at,
    )
    refuse_if_asked(job)
    store = partial(jobs.create, caps=buyer.caps)
    if reserved is not None:
        return await store_reserved(job, reserved, store=store, jobs=jobs, ledger=ledger)
    await ledger.hold(job.id, owner=job.owner, key_id=buyer.key_id, amount_micros=job.reserved_micros)
    try:
        await store(job)
    except Exception:
        # A hold without a job goes back by itself; giving it back now only spares the customer the wait.
        with suppress(Exception):
            await ledger.release(job.id)
        raise
    return job

"""Jobs, as their owners create, price and read them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from services.common.clock import Clock, whole_milliseconds
from services.common.idempotency.reservation import ReservedId
from services.common.telemetry.tracing import kept_traceparent
from services.jobs.domain.job import Job
from services.jobs.domain.requests import Buyer, Caps, NewJob, Owner
from services.jobs.domain.states import Status
from services.jobs.operations.idempotent_creation import find_reserved, store_reserved
from services.jobs.operations.magic_prompts import check_directive, refuse_if_asked
from services.jobs.operations.models import ModelOperations
from services.jobs.operations.moderate_prompt import Moderate
from services.jobs.operations.price_job import Quote, price_job
from services.jobs.operations.uploads import UseUploads, refuse_uploads
from services.jobs.ports import Funds, Jobs, Ledger


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a creation would set aside now, and what there is to spend, in micro-credits."""

    total_micros: int
    available_micros: int


@dataclass(frozen=True, kw_only=True)
class JobOperations:
    """Jobs, as their owners create, price and read them."""

    jobs: Jobs
    models: ModelOperations
    moderate: Moderate
    ledger: Ledger
    funds: Funds
    new_id: Callable[[str, datetime], str]
    """Returns a new id from its prefix, which is the contract's, and the moment of creation."""
    notify: Callable[[], None]
    """Wakes the workers."""
    clock: Clock
    use_uploads: UseUploads = refuse_uploads

    async def create(
        self, wanted: NewJob, *, buyer: Buyer, id_prefix: str, reserved: ReservedId | None = None
    ) -> Job:
        """Sets the price aside, stores the job and makes it due; every call makes another job, unless its id is reserved.

        It is priced, and later settled, by the version of prices that holds when it is created.
        Refuses with MODEL_NOT_FOUND, INVALID_FIELD, CONTENT_REFUSED, CREDITS_INSUFFICIENT, SPEND_LIMIT_EXCEEDED or
        JOB_LIMIT_REACHED; then nothing is stored or held.
        """
        job = await find_reserved(reserved, owner=buyer.owner, jobs=self.jobs)
        if job is None:
            check_directive(wanted, environment=buyer.owner.environment)
            self.jobs.refuse_if_full(buyer.owner)
            # What customers are shown, and filter usage by, has milliseconds and no more.
            created_at = whole_milliseconds(self.clock())
            quote = await self._price(wanted, buyer=buyer, moment=created_at)
            job_id = self.new_id(id_prefix, created_at) if reserved is None else reserved.id
            profile = await self.moderate(wanted, buyer, job_id)
            job = _accepted(
                job_id, wanted, buyer=buyer, quote=quote, moderation_profile=profile, created_at=created_at
            )
            refuse_if_asked(job)
            if wanted.uploads:
                await self.use_uploads(wanted.uploads, owner=buyer.owner, keep=True)
            job = await self._store(job, caps=buyer.caps, reserved=reserved)
        self.notify()
        return job

    async def estimate(self, wanted: NewJob, *, buyer: Buyer) -> Estimate:
        """Prices a request as `create` would, and writes nothing.

        Refuses with MODEL_NOT_FOUND, INVALID_FIELD or UNAVAILABLE.
        """
        check_directive(wanted, environment=buyer.owner.environment)
        quote = await self._price(wanted, buyer=buyer, moment=self.clock())
        if wanted.uploads:
            await self.use_uploads(wanted.uploads, owner=buyer.owner, keep=False)
        available_micros = await self.funds.available(buyer.owner)
        return Estimate(total_micros=quote.total_micros, available_micros=available_micros)

    async def page(
        self, *, owner: Owner, status: Status | None, before_id: str | None, limit: int, offset: int = 0
    ) -> tuple[list[Job], str | None]:
        """Returns up to `limit` of the owner's jobs, newest first, and the `before_id` of the next page if any."""
        found = await self.jobs.newest(
            owner=owner, status=status, before_id=before_id, limit=limit + 1, offset=offset
        )
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    async def _price(self, wanted: NewJob, *, buyer: Buyer, moment: datetime) -> Quote:
        return price_job(wanted, await self.models.at(moment, wanted.model, buyer=buyer))

    async def _store(self, job: Job, *, caps: Caps, reserved: ReservedId | None) -> Job:
        store = partial(self.jobs.create, caps=caps)
        if reserved is not None:
            return await store_reserved(job, reserved, store=store, jobs=self.jobs, ledger=self.ledger)
        await self.ledger.hold(job.id, owner=job.owner, key_id=job.key_id, amount_micros=job.reserved_micros)
        try:
            await store(job)
        except Exception:
            # A hold without a job goes back by itself; giving it back now only spares the customer the wait.
            with suppress(Exception):
                await self.ledger.release(job.id)
            raise
        return job


def _accepted(
    job_id: str,
    wanted: NewJob,
    *,
    buyer: Buyer,
    quote: Quote,
    moderation_profile: str,
    created_at: datetime,
) -> Job:
    return Job(
        id=job_id,
        owner=buyer.owner,
        status=Status.PENDING,
        model=wanted.model,
        input=wanted.input,
        callback_url=wanted.callback_url,
        metadata_json=wanted.metadata_json,
        key_id=buyer.key_id,
        moderation_profile=moderation_profile,
        reference_fields=wanted.reference_fields,
        price_version=quote.price.version,
        micros_per_second=quote.price.micros_per_second,
        reserved_micros=quote.total_micros,
        created_at=created_at,
        traceparent=kept_traceparent(),
        names_seed=wanted.names_seed,
    )

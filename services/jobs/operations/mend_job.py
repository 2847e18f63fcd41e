"""Putting right what a job and its hold do not agree about, by the table of next moves."""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.audit.note import AuditNote
from services.common.errors import ServiceError
from services.jobs.credits import UNPAYABLE, recreate_hold, refund_captured, release_or_refund
from services.jobs.domain.failures import FailureCode
from services.jobs.domain.ledger import Hold, JobRecord
from services.jobs.domain.requests import Owner
from services.jobs.next_moves import Move, next_move, refunds_unknown_micros
from services.jobs.operations.forgotten_jobs import settled_for_good
from services.jobs.ports import Holds, Ledger, Records
from services.jobs.store.refunds import Refund
from services.jobs.store.repairs import SqlRepairs


@dataclass(frozen=True, kw_only=True)
class Mender:
    """What it takes to put jobs and holds right."""

    records: Records
    holds: Holds
    ledger: Ledger
    repairs: SqlRepairs
    notify: Callable[[], None]
    """Wakes the workers, who end what is given up."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A job and its hold, as far as there are any."""

    job: JobRecord | None
    hold: Hold | None


async def look(job_id: str, *, mender: Mender) -> Pair:
    """Reads both. A job moves before its hold does, so it is the hold that is read last.

    What was captured for a job that is forgotten is nobody's to put right: it counts as no hold.
    """
    jobs = await mender.records.get([job_id])
    holds = await mender.holds.get([job_id])
    if not jobs and await settled_for_good(holds, mender.records):
        holds = []
    return Pair(job=next(iter(jobs), None), hold=next(iter(holds), None))


async def mend(job_id: str, pair: Pair, *, action: str, note: AuditNote, mender: Mender) -> Move:
    """Does the next move of a job and its hold, and has refunds agree. Refuses as the ledger does."""
    move = next_move(pair.job, pair.hold)
    if move is Move.GIVE_UP:
        await give_up(job_id, action=action, note=note, mender=mender)
    elif move is Move.WAIVE:
        await mender.repairs.waive(job_id, action=action, note=note)
    elif move is not Move.AGREE:
        # On record before billing hears of it.
        await mender.repairs.note(job_id, action=action, note=note, details={"move": move.name.lower()})
        await _ask_billing(job_id, move, pair.job, action=action, note=note, mender=mender)
    return move


async def give_up(job_id: str, *, action: str, note: AuditNote, mender: Mender) -> None:
    """Has an unfinished job fail, whoever has it. The workers end it."""
    await mender.repairs.give_up(job_id, failure=FailureCode.GENERATION_FAILED, action=action, note=note)
    mender.notify()


async def align_refunds(pair: Pair, *, action: str, note: AuditNote, mender: Mender) -> None:
    """Makes refunds again that billing lost, and counts those that the job does not know of."""
    unknown_micros = refunds_unknown_micros(pair.job, pair.hold)
    if not unknown_micros:
        return
    assert pair.job is not None
    assert pair.hold is not None
    job_id = pair.job.job_id
    if unknown_micros < 0:
        for refund in await mender.repairs.refunds_of(job_id):
            await mender.ledger.refund(
                refund.refund_id, hold_id=job_id, amount_micros=refund.amount_micros, reason=refund.reason
            )
        return
    refund = Refund(
        refund_id=f"noted_{job_id}_{pair.hold.refunded_micros}",
        job_id=job_id,
        amount_micros=unknown_micros,
        reason=note.reason,
    )
    await mender.repairs.note_refund(refund, action=action, note=note)


async def _ask_billing(
    job_id: str, move: Move, job: JobRecord | None, *, action: str, note: AuditNote, mender: Mender
) -> None:
    ledger = mender.ledger
    if move is Move.RELEASE:
        await release_or_refund(job_id, ledger=ledger, reason=note.reason)
    elif move is Move.RETURN:
        await refund_captured(job_id, ledger=ledger, reason=note.reason)
    else:
        assert job is not None, "only a job can be paid for"
        try:
            if move in {Move.HOLD, Move.CHARGE}:
                await _recreate_hold(job, ledger=ledger)
        except ServiceError as error:
            if move is Move.CHARGE or error.reason not in UNPAYABLE:
                raise
            await give_up(job_id, action=action, note=note, mender=mender)
        if move in {Move.CHARGE, Move.CAPTURE}:
            await ledger.capture(job_id, amount_micros=job.charged_micros)


async def _recreate_hold(job: JobRecord, *, ledger: Ledger) -> None:
    owner = Owner(account_id=job.account_id, environment=job.environment, contract=job.contract)
    await recreate_hold(
        job.job_id, owner=owner, key_id=job.key_id, amount_micros=job.reserved_micros, ledger=ledger
    )

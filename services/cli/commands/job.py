"""Commands that manage single jobs."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.credit_amounts import show_credits
from services.cli.durations import show_duration
from services.cli.options import (
    DATA_DEFAULT,
    LIST_DEFAULT,
    Actor,
    AsJson,
    Data,
    Jobs,
    Limit,
    Reason,
    admin_target,
    command_group,
    micros,
    note,
    seconds,
)
from services.cli.printing import fields_of, print_json, print_table

app = command_group("Show jobs and find stuck ones; end, recheck or refund them.")

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Identifier of the job.")]
HEADINGS = (
    "job", "state", "for", "checks", "due", "environment", "model", "route", "task", "account", "claims", "last error",
)  # fmt: skip


class State(StrEnum):
    """Where an unfinished job is in its life."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    PROCESSING = "processing"
    STORED = "stored"
    FAILING = "failing"


@app.command("list")
def list_jobs(
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    age_seconds: Annotated[
        int | None,
        typer.Option(
            "--older-than",
            parser=seconds,
            metavar="DURATION",
            help="Only jobs that have been in their state for at least this long: 90s, 10m, 24h.",
        ),
    ] = None,
    stalled: Annotated[
        bool, typer.Option("--stalled", help="Only jobs that are retried without progress.")
    ] = False,
    limit: Limit = LIST_DEFAULT,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show jobs that have not ended, those longest in their state first."""
    from services.cli.admin.jobs import list_unfinished_jobs

    target = admin_target(jobs, service="jobs", root=data)
    listed = asyncio.run(
        list_unfinished_jobs(
            state=state, age_seconds_min=age_seconds, stalled=stalled, jobs_max=limit, jobs=target
        )
    )
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            job.job_id,
            fields_of(job)["state"],
            show_duration(job.age_seconds),
            str(job.check_count),
            job.due_at or "when there is room",
            fields_of(job)["environment"],
            job.model,
            job.route,
            job.task_id,
            job.account_id,
            str(job.claim_count),
            job.last_error,
        )
        for job in listed
    ]
    print_table(HEADINGS, rows)


ATTEMPT_HEADINGS = (
    "attempt", "route", "provider", "credential", "key", "model", "task", "began", "taken", "rendered", "ended", "outcome",
    "reason", "cost USD", "detail",
)  # fmt: skip


@app.command("show")
def show_job(job_id: JobId, jobs: Jobs = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show every attempt at a job: who was asked, why it ended, and what it cost."""
    from services.cli.admin import jobs as admin

    shown = asyncio.run(admin.show_job(job_id, jobs=admin_target(jobs, service="jobs", root=data)))
    if as_json:
        print_json(fields_of(shown))
        return
    state = fields_of(shown).get("state")
    typer.echo(f"{job_id}: {shown.status}{f' ({state})' if shown.state else ''}")
    rows = [
        (
            str(each.number),
            each.route,
            each.provider,
            each.credential,
            each.key_name,
            each.upstream_model,
            each.task_id,
            each.opened_at,
            each.submitted_at,
            each.rendered_at,
            each.closed_at,
            each.outcome or "open",
            each.failure_class,
            f"{each.cost_usd_millionths / 1_000_000:.6f}" if each.HasField("cost_usd_millionths") else "",
            each.detail,
        )
        for each in shown.attempts
    ]
    print_table(ATTEMPT_HEADINGS, rows)


@app.command("fail")
def fail_job(
    job_id: JobId,
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Fail a job: its credits are released, and a result that still arrives is discarded."""
    from services.cli.admin import jobs as admin

    target = admin_target(jobs, service="jobs", root=data)
    asyncio.run(admin.fail_job(job_id, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"job_id": job_id})
    else:
        typer.echo(f"{job_id} is given up; its credits go back.")


class Outcome(StrEnum):
    """How a job should end."""

    COMPLETED = "completed"
    FAILED = "failed"


@app.command("settle")
def settle_job(
    job_id: JobId,
    outcome: Annotated[Outcome, typer.Option("--as", help="How it should end.")],
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """End a job in any state and settle its credits. Shows what changed."""
    from services.cli.admin import jobs as admin

    target = admin_target(jobs, service="jobs", root=data)
    settled = asyncio.run(
        admin.settle_job(job_id, outcome=outcome.value, note=note(actor, reason), jobs=target)
    )
    if as_json:
        print_json({"job_id": job_id, **fields_of(settled)})
        return
    typer.echo(f"{job_id}: {settled.job_before} -> {settled.job_after}")
    typer.echo(f"hold: {settled.hold_before or 'none'} -> {settled.hold_after or 'none'}")
    moved = settled.given_back_micros
    typer.echo(f"{show_credits(abs(moved))} credits were {'taken' if moved < 0 else 'given back'}.")


@app.command("recheck")
def recheck_job(
    job_id: JobId,
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Check a job with its provider again, now."""
    from services.cli.admin import jobs as admin

    target = admin_target(jobs, service="jobs", root=data)
    asyncio.run(admin.recheck_job(job_id, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"job_id": job_id})
    else:
        typer.echo(f"{job_id} is due now.")


@app.command("refund")
def refund_job(
    job_id: JobId,
    reason: Reason,
    amount_micros: Annotated[
        int | None,
        typer.Option(
            "--amount",
            parser=micros,
            metavar="N",
            help="Credits; by default everything charged and not yet refunded.",
        ),
    ] = None,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Refund credits of a completed job. Usage shows them as refunded."""
    from services.cli.admin import jobs as admin

    target = admin_target(jobs, service="jobs", root=data)
    refunded_micros = asyncio.run(
        admin.refund_job(job_id, amount_micros=amount_micros, note=note(actor, reason), jobs=target)
    )
    if as_json:
        print_json({"job_id": job_id, "amount_micros": refunded_micros})
    else:
        typer.echo(f"{show_credits(refunded_micros)} credits of {job_id} are given back.")

"""Commands that check and reconcile the ledger."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.admin.target import AdminTarget
from services.cli.credit_amounts import show_credits
from services.cli.options import (
    DATA_DEFAULT,
    Actor,
    AsJson,
    Billing,
    Data,
    Jobs,
    Reason,
    admin_target,
    command_group,
    note,
)
from services.cli.printing import fields_of, print_json, print_json_array

if TYPE_CHECKING:
    from reelgate.admin.v1.job_admin_service_pb2 import MendedJob
    from reelgate.admin.v1.verifier_service_pb2 import Finding

app = command_group("Verify and reconcile the ledger.")


@dataclass
class _Tally:
    checked_count: int = 0
    finding_count: int = 0


@app.command("verify")
def verify_ledger(
    billing: Billing = None, jobs: Jobs = None, data: Data = DATA_DEFAULT, as_json: AsJson = False
) -> None:
    """Verify the ledger, and jobs against it. Exits with 1 if something does not agree."""
    targets = {
        "billing": admin_target(billing, service="billing", root=data),
        "jobs": admin_target(jobs, service="jobs", root=data),
    }
    tally = _Tally()
    asyncio.run(_print_json(targets, tally) if as_json else _print_lines(targets, tally))
    if tally.finding_count:
        raise typer.Exit(1)


@app.command("reconcile")
def reconcile(
    reason: Reason,
    is_trial: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Reconcile all jobs and holds, for example after one database was restored. Exits with 1 if something could not be done."""
    from services.cli.admin.ledger import reconcile as reconciled_parts

    target = admin_target(jobs, service="jobs", root=data)
    tally = _Tally()

    async def mended() -> AsyncIterator["MendedJob"]:
        async for part in reconciled_parts(is_trial=is_trial, note=note(actor, reason), jobs=target):
            tally.checked_count += part.checked_count
            for job in part.jobs:
                tally.finding_count += bool(job.refusal)
                yield job

    asyncio.run(_print_mended(mended(), tally, as_json=as_json))
    if tally.finding_count:
        raise typer.Exit(1)


@app.command("release")
def release_hold(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="Identifier of the hold.")],
    reason: Reason,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Release the credits of a hold that no job needs, whether held or already captured and not refunded."""
    from services.cli.admin import ledger

    target = admin_target(billing, service="billing", root=data)
    micros = asyncio.run(ledger.release_hold(hold_id, note=note(actor, reason), billing=target))
    if as_json:
        print_json({"hold_id": hold_id, "given_back_micros": micros})
    else:
        typer.echo(f"{show_credits(micros)} credits of {hold_id} are given back.")


async def _print_mended(jobs: AsyncIterator["MendedJob"], tally: _Tally, *, as_json: bool) -> None:
    if as_json:
        typer.echo('{"jobs": ', nl=False)
        await print_json_array(jobs, end="")
        typer.echo(f', "checked_count": {tally.checked_count}}}')
        return
    async for job in jobs:
        refused = f": NOT DONE: {job.refusal}" if job.refusal else ""
        typer.echo(f"{job.job_id}: {job.place}, {job.holding}: {job.move}{refused}")
    typer.echo(f"{tally.checked_count:,} rows looked at.")


async def _print_json(targets: Mapping[str, AdminTarget], tally: _Tally) -> None:
    typer.echo('{"findings": ', nl=False)
    found = ({"service": service, **fields_of(each)} async for service, each in _findings(targets, tally))
    await print_json_array(found, end="")
    typer.echo(f', "checked_count": {tally.checked_count}}}')


async def _print_lines(targets: Mapping[str, AdminTarget], tally: _Tally) -> None:
    async for service, finding in _findings(targets, tally):
        typer.echo(f"{service}: {finding.rule}: {finding.row}: {finding.detail}")
    disagreeing = f"{tally.finding_count:,} do not agree" if tally.finding_count else "all agrees"
    typer.echo(f"{tally.checked_count:,} rows checked: {disagreeing}.")


async def _findings(
    targets: Mapping[str, AdminTarget], tally: _Tally
) -> AsyncIterator[tuple[str, "Finding"]]:
    from services.cli.admin.ledger import verify

    async for service, part in verify(targets):
        tally.checked_count += part.checked_count
        tally.finding_count += len(part.findings)
        for finding in part.findings:
            yield service, finding

"""Commands that check the books."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import typer

from services.devstack.admin.records import Finding
from services.devstack.admin.target import AdminTarget
from services.devstack.options import (
    DATA_DEFAULT,
    AsJson,
    Billing,
    Data,
    Jobs,
    admin_target,
    command_group,
)
from services.devstack.printing import print_json_array

app = command_group("Check the books.")


@dataclass
class _Tally:
    checked_count: int = 0
    finding_count: int = 0


@app.command("verify")
def verify_ledger(
    billing: Billing = None, jobs: Jobs = None, data: Data = DATA_DEFAULT, as_json: AsJson = False
) -> None:
    """Prove that the books agree: the ledger, and jobs against it. Exits with 1 when something does not."""
    targets = {
        "billing": admin_target(billing, service="billing", root=data),
        "jobs": admin_target(jobs, service="jobs", root=data),
    }
    tally = _Tally()
    asyncio.run(_print_json(targets, tally) if as_json else _print_lines(targets, tally))
    if tally.finding_count:
        raise typer.Exit(1)


async def _print_json(targets: Mapping[str, AdminTarget], tally: _Tally) -> None:
    typer.echo('{"findings": ', nl=False)
    await print_json_array(_findings(targets, tally), end="")
    typer.echo(f', "checked_count": {tally.checked_count}}}')


async def _print_lines(targets: Mapping[str, AdminTarget], tally: _Tally) -> None:
    async for finding in _findings(targets, tally):
        typer.echo(f"{finding.service}: {finding.rule}: {finding.row}: {finding.detail}")
    disagreeing = f"{tally.finding_count:,} do not agree" if tally.finding_count else "all agrees"
    typer.echo(f"{tally.checked_count:,} rows checked: {disagreeing}.")


async def _findings(targets: Mapping[str, AdminTarget], tally: _Tally) -> AsyncIterator[Finding]:
    from services.devstack.admin.ledger import verify

    async for part in verify(targets):
        tally.checked_count += part.checked_count
        tally.finding_count += len(part.findings)
        for finding in part.findings:
            yield finding

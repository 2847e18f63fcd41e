"""Commands for events that the webhooks service refused or lost."""

import asyncio
from typing import Annotated

import typer

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
    note,
)
from services.cli.printing import fields_of, print_json, print_table

app = command_group("List and retry events that the webhooks service refused, and hand lost ones over again.")
HEADINGS = ("event", "job", "type", "occurred", "due", "environment", "account", "refusal")


@app.command("list")
def list_events(
    limit: Limit = LIST_DEFAULT, jobs: Jobs = None, data: Data = DATA_DEFAULT, as_json: AsJson = False
) -> None:
    """Show events that were refused and are not delivered to webhooks yet, oldest first."""
    from services.cli.admin.events import list_refused_events

    target = admin_target(jobs, service="jobs", root=data)
    listed = asyncio.run(list_refused_events(events_max=limit, jobs=target)).events
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            event.event_id,
            event.job_id,
            event.type,
            event.occurred_at,
            event.due_at,
            fields_of(event)["environment"],
            event.account_id,
            event.refusal,
        )
        for event in listed
    ]
    print_table(HEADINGS, rows)


@app.command("retry")
def retry_events(
    reason: Reason,
    event_id: Annotated[
        str | None, typer.Argument(metavar="EVENT", help="Identifier of the event.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="The oldest 1,000 that are waiting.")] = False,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Send refused events to the webhooks service again, now."""
    from services.cli.admin.events import retry_refused_events

    if every == (event_id is not None):
        raise typer.BadParameter("name one event, or give --all")
    target = admin_target(jobs, service="jobs", root=data)
    retried_count = asyncio.run(retry_refused_events(event_id, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"retried_count": retried_count})
    else:
        typer.echo(
            f"Offered again now: {retried_count:,}. What is refused again stays in `reelgate event list`."
        )


@app.command("hand-over")
def hand_over_events(
    reason: Reason,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="MOMENT",
            help="From when on jobs must have ended, such as 2026-06-01T10:00:00Z.",
        ),
    ],
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Offer the last event of each job that ended since a moment to the webhooks service again; it skips those it has."""
    from services.cli.admin import events

    target = admin_target(jobs, service="jobs", root=data)

    async def handed_over() -> int:
        return sum(
            [count async for count in events.hand_over_events(since, note=note(actor, reason), jobs=target)]
        )

    handed_over_count = asyncio.run(handed_over())
    if as_json:
        print_json({"handed_over_count": handed_over_count})
    else:
        typer.echo(f"Offered again: {handed_over_count:,}. Webhooks delivers those that it does not have.")

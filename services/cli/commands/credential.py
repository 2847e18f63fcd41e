"""Commands that manage the credentials of providers."""

import asyncio
from typing import Annotated

import typer

from services.cli.options import (
    DATA_DEFAULT,
    Actor,
    AsJson,
    Data,
    Jobs,
    Reason,
    admin_target,
    command_group,
    note,
)
from services.cli.printing import print_json, print_table

app = command_group("See which credentials of providers are in use; change their keys and put them back.")
Name = Annotated[str, typer.Argument(metavar="CREDENTIAL", help="Name of the credential in the catalogue.")]
HEADINGS = (
    "credential", "state", "since", "key", "keys", "in flight", "tasks at most", "orders a minute", "callbacks",
    "provider",
)  # fmt: skip


@app.command("list")
def list_credentials(jobs: Jobs = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show all credentials: whether they are in use, with which key, and their limits. Never a key itself."""
    from services.cli.admin import routes as admin

    listed = asyncio.run(admin.list_credentials(jobs=admin_target(jobs, service="jobs", root=data)))
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            each.name,
            f"out: {each.out_reason}" if each.HasField("out_reason") else "in use",
            each.out_since,
            each.key_in_use,
            ", ".join(each.keys),
            str(each.in_flight),
            str(each.jobs_at_once) if each.HasField("jobs_at_once") else "",
            str(each.requests_per_minute) if each.HasField("requests_per_minute") else "",
            each.callbacks,
            each.provider,
        )
        for each in listed
    ]
    print_table(HEADINGS, rows)


@app.command("rotate")
def rotate_credential(
    name: Name,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name of one of its keys in the catalogue.")],
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Order new tasks with another key of a credential. Those under way keep theirs."""
    from services.cli.admin import routes as admin

    target = admin_target(jobs, service="jobs", root=data)
    asyncio.run(admin.rotate_credential(name, key, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"credential": name, "key": key})
    else:
        typer.echo(
            f"New tasks of {name} are ordered with {key}. Keep the old key until those under way have ended."
        )


@app.command("enable")
def enable_credential(
    name: Name,
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put a credential back into use whose key the provider had refused."""
    from services.cli.admin import routes as admin

    target = admin_target(jobs, service="jobs", root=data)
    asyncio.run(admin.enable_credential(name, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"credential": name})
    else:
        typer.echo(f"{name} is in use again.")

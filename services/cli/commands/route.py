"""Commands that manage routes."""

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
from services.cli.printing import fields_of, print_json, print_table

app = command_group("See how routes to providers do; take them out of use and put them back.")
Name = Annotated[str, typer.Argument(metavar="ROUTE", help="Name of the route in the catalogue.")]
HEADINGS = (
    "route", "state", "in flight", "waiting", "success", "submit p50", "p95", "render p50", "p95", "last error", "at",
    "provider", "credential",
)  # fmt: skip


@app.command("list")
def list_routes(jobs: Jobs = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show all routes: whether they get jobs, and how they did in the last hour."""
    from services.cli.admin import routes as admin

    listed = asyncio.run(admin.list_routes(jobs=admin_target(jobs, service="jobs", root=data)))
    if as_json:
        print_json(listed)
        return
    rows = []
    for route in listed:
        shown = fields_of(route)
        rows.append(
            (
                route.name,
                str(shown["state"]).replace("_", " "),
                str(route.in_flight),
                str(route.waiting),
                f"{route.succeeded} of {route.judged}" if route.judged else "",
                *(_seconds(shown.get(f"{name}_seconds")) for name in SPANS),
                route.last_error_class,
                route.last_error_at,
                route.provider,
                route.credential,
            )
        )
    print_table(HEADINGS, rows)


SPANS = ("submit_p50", "submit_p95", "render_p50", "render_p95")


def _seconds(value: object) -> str:
    return f"{value:.1f} s" if isinstance(value, int | float) else ""


@app.command("disable")
def disable_route(
    name: Name,
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a route no new jobs. Those it has go on."""
    from services.cli.admin import routes as admin

    target = admin_target(jobs, service="jobs", root=data)
    asyncio.run(admin.disable_route(name, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"route": name})
    else:
        typer.echo(f"{name} gets no new jobs; those it has go on.")


@app.command("enable")
def enable_route(
    name: Name,
    reason: Reason,
    actor: Actor = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a route jobs again, as one that never failed."""
    from services.cli.admin import routes as admin

    target = admin_target(jobs, service="jobs", root=data)
    asyncio.run(admin.enable_route(name, note=note(actor, reason), jobs=target))
    if as_json:
        print_json({"route": name})
    else:
        typer.echo(f"{name} gets jobs again.")

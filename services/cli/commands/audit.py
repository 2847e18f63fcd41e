"""Commands that show what operators did."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.options import (
    DATA_DEFAULT,
    LIST_DEFAULT,
    AsJson,
    Billing,
    Data,
    Jobs,
    Limit,
    admin_target,
    command_group,
)
from services.cli.printing import fields_of, print_json, print_table

if TYPE_CHECKING:
    from reelgate.admin.v1.audit_pb2 import AuditEntry

app = command_group("Show who changed what, when and why.")


@app.command("list")
def list_entries(
    subject: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only what was done to this account, key, job or version."),
    ] = None,
    limit: Limit = LIST_DEFAULT,
    billing: Billing = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show changes, newest first."""
    from services.cli.admin.audit import list_audit_entries

    targets = {
        "billing": admin_target(billing, service="billing", root=data),
        "jobs": admin_target(jobs, service="jobs", root=data),
    }
    entries = asyncio.run(list_audit_entries(subject_id=subject, entries_max=limit, targets=targets))
    if as_json:
        print_json([_plain(service, entry) for service, entry in entries])
        return
    rows = [
        (
            entry.occurred_at,
            entry.actor,
            entry.action,
            entry.subject_id,
            entry.reason,
            json.dumps(json.loads(entry.details_json), ensure_ascii=False),
        )
        for _, entry in entries
    ]
    print_table(("when", "who", "what", "to", "why", "details"), rows)


def _plain(service: str, entry: "AuditEntry") -> dict[str, Any]:
    fields = fields_of(entry)
    return {"service": service, **fields, "details": json.loads(fields.pop("details_json"))}

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
    Webhooks,
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
        typer.Option(metavar="ID", help="Only changes to this account, key, job or price version."),
    ] = None,
    limit: Limit = LIST_DEFAULT,
    billing: Billing = None,
    jobs: Jobs = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show changes, newest first: those of the given services, or of all in the local stack."""
    from services.cli.admin.audit import list_audit_entries

    named = {"billing": billing, "jobs": jobs, "webhooks": webhooks}
    asked = {service: address for service, address in named.items() if address} or named
    targets = {
        service: admin_target(address, service=service, root=data) for service, address in asked.items()
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

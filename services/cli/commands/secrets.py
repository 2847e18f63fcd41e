"""Commands that manage the secrets that sign webhooks."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import (
    DATA_DEFAULT,
    AccountId,
    Actor,
    AsJson,
    Data,
    Environment,
    Reason,
    Webhooks,
    admin_target,
    command_group,
    note,
)
from services.cli.printing import fields_of, print_json, print_table

if TYPE_CHECKING:
    from reelgate.admin.v1.signing_secret_service_pb2 import Signing

app = command_group("Rotate webhook signing secrets and the key that encrypts them.")
Where = Annotated[Environment, typer.Option("--environment", help="Environment the secret signs in.")]


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


@app.command("show")
def show_signing(
    account_id: AccountId,
    environment: Where,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show how callbacks of an account are signed, without the secret."""
    from services.cli.admin import secrets

    target = admin_target(webhooks, service="webhooks", root=data)
    signing = asyncio.run(secrets.get_signing(account_id, environment=environment.value, webhooks=target))
    _print(signing, as_json=as_json)


@app.command("rotate")
def rotate_secret(
    account_id: AccountId,
    environment: Where,
    reason: Reason = "reelgate secrets rotate",
    actor: Actor = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Create a new secret, which is shown only once. Both sign, the old one first, until you confirm the new one."""
    from services.cli.admin import secrets

    target = admin_target(webhooks, service="webhooks", root=data)
    rotated = asyncio.run(
        secrets.rotate_signing_secret(
            account_id, environment=environment.value, note=note(actor, reason), webhooks=target
        )
    )
    _print(rotated.signing, new_secret=rotated.secret, as_json=as_json)


@app.command("confirm")
def confirm_secret(
    account_id: AccountId,
    environment: Where,
    reason: Reason = "reelgate secrets confirm",
    actor: Actor = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Let the new secret sign first. The old one also signs for 24 hours."""
    from services.cli.admin import secrets

    target = admin_target(webhooks, service="webhooks", root=data)
    signing = asyncio.run(
        secrets.confirm_signing_secret(
            account_id, environment=environment.value, note=note(actor, reason), webhooks=target
        )
    )
    _print(signing, as_json=as_json)


@app.command("signing")
def switch_signing(
    account_id: AccountId,
    switch: Annotated[Switch, typer.Argument(help="Whether to sign.")],
    environment: Where,
    reason: Reason,
    actor: Actor = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Turn signing of callbacks on or off for an account on contract Seedancee2. All others are always signed."""
    from services.cli.admin import secrets

    target = admin_target(webhooks, service="webhooks", root=data)
    signing = asyncio.run(
        secrets.set_signing(
            account_id,
            environment=environment.value,
            is_signing=switch is Switch.ON,
            note=note(actor, reason),
            webhooks=target,
        )
    )
    _print(signing, as_json=as_json)


@app.command("reseal")
def reseal_secrets(
    reason: Reason = "reelgate secrets reseal",
    actor: Actor = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Encrypt all secrets with the newest key of WEBHOOKS_SECRET_KEY. May be interrupted and repeated."""
    from services.cli.admin import secrets

    target = admin_target(webhooks, service="webhooks", root=data)
    resealed = asyncio.run(secrets.reseal_secrets(note=note(actor, reason), webhooks=target))
    counts = {name: value for name, value in fields_of(resealed).items() if name.endswith("_count")}
    if as_json:
        print_json(counts)
    else:
        headings = [name.removesuffix("_count") for name in counts]
        print_table(headings, [tuple(map(str, counts.values()))])


def _print(signing: "Signing", *, new_secret: str | None = None, as_json: bool) -> None:
    if as_json:
        print_json({**fields_of(signing), "secret": new_secret})
        return
    row = (
        signing.account_id,
        fields_of(signing)["environment"],
        "on" if signing.signing else "off",
        "yes" if signing.rotating else "",
        signing.previous_until,
    )
    print_table(("account", "environment", "signing", "rotating", "old secret until"), [row])
    if new_secret is not None:
        typer.echo(f"new secret  {new_secret}")

"""Commands that look after accounts, keys and credits."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from services.devstack.credit_amounts import show_credits
from services.devstack.options import (
    DATA_DEFAULT,
    AsJson,
    Billing,
    Data,
    Webhooks,
    internal_address,
    micros,
)


class Contract(StrEnum):
    """Which public contract an account is on."""

    SEEDANCEE2 = "seedancee2"
    NEXTAPI = "nextapi"


class Environment(StrEnum):
    """Which of its two separate halves a key or a balance belongs to."""

    LIVE = "live"
    TEST = "test"


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    groups: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
        "account": ("Open accounts.", {"create": create_account}),
        "key": (
            "Issue and disable API keys.",
            {"create": create_key, "list": list_keys, "disable": disable_key},
        ),
        "credits": ("Give credits.", {"grant": grant_credits}),
    }
    for name, (text, commands) in groups.items():
        group = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)
        for verb, command in commands.items():
            group.command(verb)(command)
        app.add_typer(group, name=name)


def create_account(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    contract: Annotated[Contract, typer.Option(help="What it speaks, for good.")] = Contract.SEEDANCEE2,
    credits_micros: Annotated[
        int, typer.Option("--credits", parser=micros, metavar="N", help="First credits, live and test alike.")
    ] = 0,
    billing: Billing = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Open an account with a live and a test key. Both are shown only now."""
    from services.devstack import admin

    account = asyncio.run(
        admin.create_account(
            name,
            contract=contract.value,
            credits_micros=credits_micros,
            billing=internal_address(billing, service="billing", root=data),
            webhooks=internal_address(webhooks, service="webhooks", root=data),
        )
    )
    if as_json:
        typer.echo(json.dumps(asdict(account), indent=2))
        return
    typer.echo(f"account         {account.account_id}")
    for environment, secret in account.keys.items():
        typer.echo(f"{environment} key        {secret}")
    typer.echo(f"webhook secret  {account.webhook_secret}")


def create_key(
    account: Annotated[str, typer.Argument(help="Identifier of the account.")],
    environment: Annotated[Environment, typer.Option(help="What the key works in.")],
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Issue a key. It is shown only now."""
    from services.devstack import admin

    target = internal_address(billing, service="billing", root=data)
    key = asyncio.run(admin.create_key(account, environment=environment.value, billing=target))
    typer.echo(json.dumps(asdict(key), indent=2) if as_json else f"{key.key_id}  {key.secret}")


def list_keys(
    account: Annotated[str, typer.Argument(help="Identifier of the account.")],
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the keys of an account, newest first, without their secrets."""
    from services.devstack import admin

    keys = asyncio.run(
        admin.list_keys(account, billing=internal_address(billing, service="billing", root=data))
    )
    if as_json:
        typer.echo(json.dumps([asdict(key) for key in keys], indent=2))
        return
    from services.devstack.tables import print_keys

    print_keys(keys)


def disable_key(
    key_id: Annotated[str, typer.Argument(help="Identifier of the key.")],
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Stop a key from working, everywhere within 5 seconds."""
    from services.devstack import admin

    target = internal_address(billing, service="billing", root=data)
    key = asyncio.run(admin.disable_key(key_id, billing=target))
    typer.echo(
        json.dumps(asdict(key), indent=2) if as_json else f"{key.key_id} disabled at {key.disabled_at}"
    )


def grant_credits(
    account: Annotated[str, typer.Argument(help="Identifier of the account.")],
    amount_micros: Annotated[
        int, typer.Argument(parser=micros, metavar="AMOUNT", help="Credits, such as 1.05.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for the account's statement.")],
    environment: Annotated[Environment, typer.Option(help="Which balance.")] = Environment.LIVE,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give credits to an account."""
    from services.devstack import admin

    available_micros = asyncio.run(
        admin.grant_credits(
            account,
            environment=environment.value,
            amount_micros=amount_micros,
            reason=reason,
            billing=internal_address(billing, service="billing", root=data),
        )
    )
    if as_json:
        answer = {
            "account_id": account,
            "environment": environment.value,
            "available_micros": available_micros,
        }
        typer.echo(json.dumps(answer, indent=2))
    else:
        typer.echo(f"{account} can now spend {show_credits(available_micros)} {environment.value} credits.")

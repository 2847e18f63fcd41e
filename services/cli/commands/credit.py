"""Commands that move credits."""

import asyncio
from typing import Annotated

import typer

from services.cli.credit_amounts import show_credits
from services.cli.options import (
    DATA_DEFAULT,
    AccountId,
    Actor,
    AsJson,
    Billing,
    Data,
    Environment,
    Reason,
    admin_target,
    command_group,
    micros,
    note,
)
from services.cli.printing import print_json

app = command_group("Grant credits and correct balances.")

Balance = Annotated[Environment, typer.Option("--environment", help="Which balance.")]


@app.command("grant")
def grant_credits(
    account_id: AccountId,
    amount_micros: Annotated[
        int, typer.Argument(parser=micros, metavar="AMOUNT", help="Credits, such as 1.05.")
    ],
    reason: Reason,
    environment: Balance = Environment.LIVE,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Grant credits to an account. The reason appears in its statement."""
    from services.cli.admin import balances

    available_micros = asyncio.run(
        balances.grant_credits(
            account_id,
            environment=environment.value,
            amount_micros=amount_micros,
            note=note(actor, reason),
            billing=admin_target(billing, service="billing", root=data),
        )
    )
    _print_available(account_id, environment, available_micros, as_json=as_json)


@app.command("correct")
def correct_balance(
    account_id: AccountId,
    reason: Reason,
    add_micros: Annotated[
        int | None, typer.Option("--add", parser=micros, metavar="AMOUNT", help="Credits to add.")
    ] = None,
    take_micros: Annotated[
        int | None, typer.Option("--take", parser=micros, metavar="AMOUNT", help="Credits to take.")
    ] = None,
    environment: Balance = Environment.LIVE,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Correct a balance by adding or taking credits. The reason appears in its statement."""
    if (add_micros is None) == (take_micros is None):
        raise typer.BadParameter("give either --add or --take")
    from services.cli.admin import balances

    available_micros = asyncio.run(
        balances.correct_balance(
            account_id,
            environment=environment.value,
            amount_micros=(add_micros or 0) - (take_micros or 0),
            note=note(actor, reason),
            billing=admin_target(billing, service="billing", root=data),
        )
    )
    _print_available(account_id, environment, available_micros, as_json=as_json)


def _print_available(account_id: str, environment: Environment, micros: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"account_id": account_id, "environment": environment.value, "available_micros": micros})
    else:
        typer.echo(f"{account_id} can now spend {show_credits(micros)} {environment.value} credits.")

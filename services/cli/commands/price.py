"""Commands that manage prices."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.credit_amounts import show_credits
from services.cli.options import (
    DATA_DEFAULT,
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
from services.cli.printing import print_json, print_table
from services.common.clock import rfc3339

if TYPE_CHECKING:
    from reelgate.internal.prices.v1.price_pb2 import PriceVersion

app = command_group("Set prices. They are versions: jobs keep the one they were accepted with.")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ValidFrom = Annotated[
    str | None,
    typer.Option(
        metavar="MOMENT", help="When it takes effect, such as 2026-07-01T00:00:00Z; by default now."
    ),
]


@app.command("set")
def set_price(
    version: Annotated[str, typer.Option(help="Name of the new version.")],
    model: Annotated[str, typer.Option(help="Public name of the model.")],
    resolution: Annotated[str, typer.Option(help="480p, 720p or 1080p.")],
    micros_per_second: Annotated[
        int,
        typer.Option(
            "--credits-per-second", parser=micros, metavar="N", help="Price of one second of video."
        ),
    ],
    environment: Annotated[list[Environment], typer.Option(help="Environment it applies to; repeatable.")],
    reason: Reason,
    valid_from: ValidFrom = None,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set one price. All others stay as they are."""
    from reelgate.internal.prices.v1.price_pb2 import Price

    from services.cli.admin import prices

    wanted = [
        Price(
            model=model,
            resolution=resolution,
            environment=place.value,
            micros_per_second=micros_per_second,
        )
        for place in environment
    ]
    target = admin_target(billing, service="billing", root=data)
    setting = prices.set_prices(
        version, prices=wanted, valid_from=valid_from, note=note(actor, reason), billing=target
    )
    _print_versions([asyncio.run(setting)], as_json=as_json)


@app.command("load")
def load_prices(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Like services/billing/prices.yaml.")
    ],
    reason: Reason,
    valid_from: ValidFrom = None,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set all prices of a file. Loading the same version again changes nothing."""
    from services.cli.admin import prices
    from services.cli.price_file import read_price_file

    wanted = read_price_file(file)
    target = admin_target(billing, service="billing", root=data)
    setting = prices.set_prices(
        wanted.version, prices=wanted.prices, valid_from=valid_from, note=note(actor, reason), billing=target
    )
    _print_versions([asyncio.run(setting)], as_json=as_json)


@app.command("list")
def list_prices(billing: Billing = None, data: Data = DATA_DEFAULT, as_json: AsJson = False) -> None:
    """Show the versions that are valid now or later, oldest first."""
    from services.cli.admin import prices

    target = admin_target(billing, service="billing", root=data)
    _print_versions(asyncio.run(prices.list_prices(billing=target)), as_json=as_json)


def _print_versions(versions: "Sequence[PriceVersion]", *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "version": version.version,
                    "valid_from": _valid_from(version),
                    "prices": list(version.prices),
                }
                for version in versions
            ]
        )
        return
    rows = [
        (
            version.version,
            _valid_from(version),
            price.environment,
            price.model,
            price.resolution,
            show_credits(price.micros_per_second),
        )
        for version in versions
        for price in version.prices
    ]
    print_table(("version", "from", "environment", "model", "resolution", "credits per second"), rows)


def _valid_from(version: "PriceVersion") -> str:
    return rfc3339(EPOCH + timedelta(milliseconds=version.valid_from_millis))

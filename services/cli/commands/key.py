"""Commands that manage API keys."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.commands.limits import (
    PER_DAY,
    PER_JOB,
    PER_MONTH,
    SPENDING_HEADINGS,
    spending_cells,
)
from services.cli.commands.rules import KEY_HEADINGS, CallsPerMinute, JobsAtOnce, key_cells
from services.cli.options import (
    DATA_DEFAULT,
    AccountId,
    Actor,
    AsJson,
    Billing,
    Data,
    Environment,
    KeyId,
    Reason,
    SpendLimit,
    admin_target,
    command_group,
    note,
    seconds,
)
from services.cli.printing import fields_of, print_json, print_table

if TYPE_CHECKING:
    from reelgate.admin.v1.key_admin_service_pb2 import Key

app = command_group("Issue, rotate, limit and disable API keys.")


class Kind(StrEnum):
    """What a key is for; this sets its default call rate."""

    BUSINESS = "business"
    ADMIN = "admin"


@app.command("create")
def create_key(
    account_id: AccountId,
    environment: Annotated[Environment, typer.Option(help="Environment the key works in.")],
    reason: Reason = "reelgate key create",
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Issue a key. Its secret is shown only once."""
    from services.cli.admin import keys

    target = admin_target(billing, service="billing", root=data)
    created = asyncio.run(
        keys.create_key(account_id, environment=environment.value, note=note(actor, reason), billing=target)
    )
    _print_secret(created.key, created.secret, as_json=as_json)


@app.command("list")
def list_keys(
    account_id: AccountId, billing: Billing = None, data: Data = DATA_DEFAULT, as_json: AsJson = False
) -> None:
    """Show the keys of an account, newest first, without their secrets."""
    from services.cli.admin import keys

    target = admin_target(billing, service="billing", root=data)
    listed = asyncio.run(keys.list_keys(account_id, billing=target))
    if as_json:
        print_json(listed)
    else:
        _print_keys(listed)


@app.command("disable")
def disable_key(
    key_id: KeyId,
    reason: Reason = "reelgate key disable",
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Stop a key from working, everywhere within 5 seconds."""
    from services.cli.admin import keys

    target = admin_target(billing, service="billing", root=data)
    key = asyncio.run(keys.disable_key(key_id, note=note(actor, reason), billing=target))
    if as_json:
        print_json(key)
    else:
        typer.echo(f"{key.key_id} disabled at {key.disabled_at}")


@app.command("rotate")
def rotate_key(
    key_id: KeyId,
    overlap_seconds: Annotated[
        int,
        typer.Option(
            "--overlap",
            parser=seconds,
            metavar="DURATION",
            help="How long the old secret continues to work: 90s, 10m, 24h, at most 30d; 0s if it leaked.",
        ),
    ],
    reason: Reason = "reelgate key rotate",
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a key a new secret, which is shown only once. Its limits and models stay."""
    from services.cli.admin import keys

    target = admin_target(billing, service="billing", root=data)
    rotated = asyncio.run(
        keys.rotate_key(key_id, overlap_seconds=overlap_seconds, note=note(actor, reason), billing=target)
    )
    _print_secret(rotated.key, rotated.secret, as_json=as_json)
    if not as_json:
        until = rotated.key.previous_until
        typer.echo(f"The old secret works until {until}." if until else "The old secret works no more.")


@app.command("limits")
def limit_key(
    key_id: KeyId,
    reason: Reason,
    per_job: Annotated[SpendLimit, PER_JOB],
    per_day: Annotated[SpendLimit, PER_DAY],
    per_month: Annotated[SpendLimit, PER_MONTH],
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set what a key may spend: all three limits at once."""
    from reelgate.admin.v1.account_pb2 import SpendLimits

    from services.cli.admin import keys

    limits = SpendLimits(
        per_job_micros=per_job.micros, per_day_micros=per_day.micros, per_month_micros=per_month.micros
    )
    target = admin_target(billing, service="billing", root=data)
    key = asyncio.run(keys.set_key_limits(key_id, limits=limits, note=note(actor, reason), billing=target))
    _print_key(key, as_json=as_json)


@app.command("models")
def choose_models(
    key_id: KeyId,
    reason: Reason,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="The only models it may use.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All models, including future ones.")] = False,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Choose which models a key may use; it applies everywhere within 5 seconds."""
    if bool(models) == every:
        raise typer.BadParameter("give either models or --all")
    from services.cli.admin import keys

    target = admin_target(billing, service="billing", root=data)
    key = asyncio.run(
        keys.set_key_models(key_id, models=models or (), note=note(actor, reason), billing=target)
    )
    _print_key(key, as_json=as_json)


@app.command("rules")
def rule_key(
    key_id: KeyId,
    reason: Reason,
    kind: Annotated[Kind, typer.Option(help="What the key is for.")] = Kind.BUSINESS,
    calls_per_minute: CallsPerMinute = None,
    jobs_at_once: JobsAtOnce = None,
    moderation_profiles: Annotated[
        list[str] | None,
        typer.Option(
            "--moderation-profile",
            metavar="PROFILE",
            help="A moderation profile that a request may choose instead of the account's. Repeatable.",
        ),
    ] = None,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set how a key may be used; it applies everywhere within 5 seconds. Rules that you do not name return to their defaults."""
    from reelgate.admin.v1.key_admin_service_pb2 import KeyKind, KeyRules

    from services.cli.admin import keys
    from services.common.rpc.enums import value_of

    rules = KeyRules(
        kind=value_of(KeyKind.DESCRIPTOR, kind.value),
        calls_per_minute=calls_per_minute,
        jobs_at_once=jobs_at_once,
        moderation_profiles=moderation_profiles,
    )
    target = admin_target(billing, service="billing", root=data)
    key = asyncio.run(keys.set_key_rules(key_id, rules=rules, note=note(actor, reason), billing=target))
    _print_key(key, as_json=as_json)


def _print_secret(key: "Key", secret: str, *, as_json: bool) -> None:
    if as_json:
        shown = ("key_id", "environment", "created_at", "previous_until")
        print_json({**{name: fields_of(key)[name] for name in shown}, "secret": secret})
    else:
        typer.echo(f"{key.key_id}  {secret}")


def _print_key(key: "Key", *, as_json: bool) -> None:
    if as_json:
        print_json(key)
    else:
        _print_keys([key])


def _print_keys(keys: "Sequence[Key]") -> None:
    rows = [
        (
            key.key_id,
            fields_of(key)["environment"],
            key.hint,
            key.created_at,
            key.disabled_at,
            key.previous_until,
            ", ".join(key.models) or "all",
            *key_cells(key.rules),
            *spending_cells(key.spending),
        )
        for key in keys
    ]
    headings = ("key", "environment", "looks like", "issued", "disabled", "old secret until", "models")
    print_table((*headings, *KEY_HEADINGS, *SPENDING_HEADINGS), rows)

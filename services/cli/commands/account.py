"""Commands that manage accounts."""

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
    changed,
    spending_cells,
)
from services.cli.commands.retention import (
    CONTENT_DAYS,
    KEPT_HEADINGS,
    MEDIA_DAYS,
    OwnDays,
    chosen,
    kept_cells,
)
from services.cli.commands.rules import ACCOUNT_HEADINGS, CallsPerMinute, JobsAtOnce, account_cells
from services.cli.credit_amounts import show_credits
from services.cli.options import (
    DATA_DEFAULT,
    LIST_DEFAULT,
    AccountId,
    Actor,
    AsJson,
    Billing,
    Data,
    Environment,
    Jobs,
    Limit,
    Reason,
    SpendLimit,
    Webhooks,
    admin_target,
    command_group,
    micros,
    note,
)
from services.cli.printing import fields_of, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from reelgate.admin.v1.account_pb2 import Account, SpendLimits
    from reelgate.admin.v1.retention_service_pb2 import AccountDays

app = command_group("Open, limit and suspend accounts.")


class Contract(StrEnum):
    """Which public contract an account is on."""

    SEEDANCEE2 = "seedancee2"
    NEXTAPI = "nextapi"


@app.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Name for operators.")],
    contract: Annotated[
        Contract, typer.Option(help="Public contract; it cannot be changed later.")
    ] = Contract.SEEDANCEE2,
    credits_micros: Annotated[
        int,
        typer.Option(
            "--credits", parser=micros, metavar="N", help="Initial credits, the same for live and test."
        ),
    ] = 0,
    calls_per_minute: CallsPerMinute = None,
    reason: Reason = "reelgate account create",
    actor: Actor = None,
    billing: Billing = None,
    webhooks: Webhooks = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Open an account with a key and a webhook secret for live and for test. Secrets are shown only once."""
    from services.cli.admin import accounts

    account = asyncio.run(
        accounts.create_account(
            name,
            contract=contract.value,
            credits_micros=credits_micros,
            calls_per_minute=calls_per_minute,
            note=note(actor, reason),
            billing=admin_target(billing, service="billing", root=data),
            webhooks=admin_target(webhooks, service="webhooks", root=data),
        )
    )
    if as_json:
        print_json(account)
        return
    print_pairs(
        {
            "account": account.account_id,
            **{f"{environment} key": secret for environment, secret in account.keys.items()},
            **{
                f"{environment} webhook secret": secret
                for environment, secret in account.webhook_secrets.items()
            },
        }
    )


@app.command("show")
def show_account(
    account_id: AccountId, billing: Billing = None, data: Data = DATA_DEFAULT, as_json: AsJson = False
) -> None:
    """Show the balances, limits and spending of an account."""
    from services.cli.admin import accounts

    target = admin_target(billing, service="billing", root=data)
    _print_account(asyncio.run(accounts.get_account(account_id, billing=target)), as_json=as_json)


@app.command("list")
def list_accounts(
    limit: Limit = LIST_DEFAULT,
    before: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="Only accounts older than this one.")
    ] = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show accounts, newest first."""
    from services.cli.admin import accounts

    target = admin_target(billing, service="billing", root=data)
    listed = asyncio.run(accounts.list_accounts(before_id=before, accounts_max=limit, billing=target))
    if as_json:
        print_json(listed)
    else:
        _print_accounts(listed)


@app.command("suspend")
def suspend_account(
    account_id: AccountId,
    reason: Reason,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Stop every key of an account from working, within 5 seconds. Jobs in progress continue."""
    from services.cli.admin import accounts

    target = admin_target(billing, service="billing", root=data)
    account = asyncio.run(accounts.suspend_account(account_id, note=note(actor, reason), billing=target))
    _print_account(account, as_json=as_json)


@app.command("resume")
def resume_account(
    account_id: AccountId,
    reason: Reason,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Let the keys of a suspended account work again."""
    from services.cli.admin import accounts

    target = admin_target(billing, service="billing", root=data)
    account = asyncio.run(accounts.resume_account(account_id, note=note(actor, reason), billing=target))
    _print_account(account, as_json=as_json)


@app.command("limits")
def limit_account(
    account_id: AccountId,
    reason: Reason,
    per_job: Annotated[SpendLimit | None, PER_JOB] = None,
    per_day: Annotated[SpendLimit | None, PER_DAY] = None,
    per_month: Annotated[SpendLimit | None, PER_MONTH] = None,
    environment: Annotated[
        Environment, typer.Option(help="Environment the limits apply to.")
    ] = Environment.LIVE,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set what an account may spend. Limits that you do not name stay as they are."""
    if per_job is per_day is per_month is None:
        raise typer.BadParameter("give at least one of --per-job, --per-day and --per-month")

    def change(before: "SpendLimits") -> "SpendLimits":
        return changed(before, per_job=per_job, per_day=per_day, per_month=per_month)

    from services.cli.admin import accounts

    spending = asyncio.run(
        accounts.change_account_limits(
            account_id,
            environment=environment.value,
            change=change,
            note=note(actor, reason),
            billing=admin_target(billing, service="billing", root=data),
        )
    )
    if as_json:
        print_json(spending)
    else:
        row = (environment.value, *spending_cells(spending))
        print_table(("environment", *SPENDING_HEADINGS), [row])


@app.command("rules")
def rule_account(
    account_id: AccountId,
    reason: Reason,
    jobs_at_once: JobsAtOnce = None,
    moderation_profile: Annotated[
        str | None, typer.Option(metavar="PROFILE", help="Moderation profile for its requests.")
    ] = None,
    actor: Actor = None,
    billing: Billing = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set how an account may be used; it applies everywhere within 5 seconds. Rules that you do not name return to their defaults."""
    from reelgate.admin.v1.account_pb2 import AccountRules

    from services.cli.admin import accounts

    rules = AccountRules(jobs_at_once=jobs_at_once, moderation_profile=moderation_profile)
    target = admin_target(billing, service="billing", root=data)
    ruled = asyncio.run(
        accounts.set_account_rules(account_id, rules=rules, note=note(actor, reason), billing=target)
    )
    if as_json:
        print_json(ruled)
    else:
        print_table(ACCOUNT_HEADINGS, [account_cells(ruled)])


@app.command("retention")
def keep_account(
    account_id: AccountId,
    media_days: Annotated[OwnDays | None, MEDIA_DAYS] = None,
    content_days: Annotated[OwnDays | None, CONTENT_DAYS] = None,
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "reelgate account retention",
    actor: Actor = None,
    billing: Billing = None,
    jobs: Jobs = None,
    data: Data = DATA_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Set for how long content and media of an account are kept, or show it. Days that you do not name stay as they are."""
    from services.cli.admin import accounts, retention

    async def keep() -> "AccountDays":
        await accounts.get_account(account_id, billing=admin_target(billing, service="billing", root=data))
        target = admin_target(jobs, service="jobs", root=data)
        before = await retention.get_account_days(account_id, jobs=target)
        if media_days is content_days is None:
            return before
        days = chosen(before, media_days=media_days, content_days=content_days)
        return await retention.set_account_days(account_id, days, note=note(actor, reason), jobs=target)

    kept = asyncio.run(keep())
    if as_json:
        print_json(kept)
    else:
        print_table(KEPT_HEADINGS, [kept_cells(kept)])


def _print_account(account: "Account", *, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    _print_accounts([account])
    typer.echo()
    print_table(ACCOUNT_HEADINGS, [account_cells(account.rules)])
    typer.echo()
    rows = [
        (
            fields_of(funds)["environment"],
            show_credits(funds.available_micros),
            show_credits(funds.held_micros),
            *spending_cells(funds.spending),
        )
        for funds in account.funds
    ]
    print_table(("environment", "available", "held", *SPENDING_HEADINGS), rows)


def _print_accounts(accounts: "Sequence[Account]") -> None:
    rows = [
        (entry.account_id, entry.contract, entry.created_at, entry.suspended_at, entry.name)
        for entry in accounts
    ]
    print_table(("account", "contract", "opened", "suspended", "name"), rows)

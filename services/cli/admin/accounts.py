"""What operators do to accounts. Every function raises ServiceError."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reelgate.admin.v1 import account_service_pb2 as pb
from reelgate.admin.v1.account_pb2 import Account, AccountRules, Spending, SpendLimits
from reelgate.admin.v1.account_service_pb2_grpc import AccountServiceStub
from reelgate.admin.v1.audit_pb2 import AuditNote
from reelgate.admin.v1.key_admin_service_pb2 import KeyRules

from services.cli.admin.balances import grant_credits
from services.cli.admin.channel import call
from services.cli.admin.keys import create_key, set_key_rules
from services.cli.admin.secrets import ensure_signing_secret
from services.cli.admin.target import AdminTarget
from services.common.rpc.enums import environment_of, environment_value

ENVIRONMENTS = ("live", "test")


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """A new account, and the secrets that are shown only now, by environment."""

    account_id: str
    keys: dict[str, str]
    webhook_secrets: dict[str, str]


async def create_account(
    name: str,
    *,
    contract: str,
    credits_micros: int,
    calls_per_minute: int | None = None,
    note: AuditNote,
    billing: AdminTarget,
    webhooks: AdminTarget,
) -> NewAccount:
    """Opens an account with a key, and `credits_micros` if more than 0, in each environment.

    The keys may make `calls_per_minute`; None is the default.
    """
    request = pb.CreateAccountRequest(name=name, contract=contract, audit=note)
    created = await call(billing, lambda channel: AccountServiceStub(channel).CreateAccount, request)
    account_id = created.account_id
    keys, webhook_secrets = {}, {}
    for environment in ENVIRONMENTS:
        key = await create_key(account_id, environment=environment, note=note, billing=billing)
        keys[environment] = key.secret
        if calls_per_minute is not None:
            rules = KeyRules(calls_per_minute=calls_per_minute)
            await set_key_rules(key.key.key_id, rules=rules, note=note, billing=billing)
        if credits_micros:
            await grant_credits(
                account_id, environment=environment, amount_micros=credits_micros, note=note, billing=billing
            )
    for environment in ENVIRONMENTS:
        webhook_secrets[environment] = await ensure_signing_secret(
            account_id, environment=environment, webhooks=webhooks
        )
    return NewAccount(account_id=account_id, keys=keys, webhook_secrets=webhook_secrets)


async def get_account(account_id: str, *, billing: AdminTarget) -> Account:
    """Returns one account."""
    request = pb.GetAccountRequest(account_id=account_id)
    return (await call(billing, lambda channel: AccountServiceStub(channel).GetAccount, request)).account


async def list_accounts(
    *, before_id: str | None, accounts_max: int, billing: AdminTarget
) -> Sequence[Account]:
    """Returns accounts that are older than `before_id`, or all, newest first."""
    request = pb.ListAccountsRequest(page_token=before_id or "", page_size=accounts_max)
    return (await call(billing, lambda channel: AccountServiceStub(channel).ListAccounts, request)).accounts


async def suspend_account(account_id: str, *, note: AuditNote, billing: AdminTarget) -> Account:
    """Stops every key of an account from working."""
    request = pb.SuspendAccountRequest(account_id=account_id, audit=note)
    return (await call(billing, lambda channel: AccountServiceStub(channel).SuspendAccount, request)).account


async def resume_account(account_id: str, *, note: AuditNote, billing: AdminTarget) -> Account:
    """Lets the keys of a suspended account work again."""
    request = pb.ResumeAccountRequest(account_id=account_id, audit=note)
    return (await call(billing, lambda channel: AccountServiceStub(channel).ResumeAccount, request)).account


async def change_account_limits(
    account_id: str,
    *,
    environment: str,
    change: Callable[[SpendLimits], SpendLimits],
    note: AuditNote,
    billing: AdminTarget,
) -> Spending:
    """Replaces the limits of an account with what `change` makes of them."""
    account = await get_account(account_id, billing=billing)
    before = next(
        funds.spending.limits for funds in account.funds if environment_of(funds.environment) == environment
    )
    request = pb.SetAccountLimitsRequest(
        account_id=account_id, environment=environment_value(environment), limits=change(before), audit=note
    )
    return (
        await call(billing, lambda channel: AccountServiceStub(channel).SetAccountLimits, request)
    ).spending


async def set_account_rules(
    account_id: str, *, rules: AccountRules, note: AuditNote, billing: AdminTarget
) -> AccountRules:
    """Replaces how an account may be used."""
    request = pb.SetAccountRulesRequest(account_id=account_id, rules=rules, audit=note)
    return (await call(billing, lambda channel: AccountServiceStub(channel).SetAccountRules, request)).rules

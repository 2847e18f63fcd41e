"""What operators do to accounts. Calls wait for a service that is just starting, as long as their deadline allows."""

from collections.abc import Callable, Sequence

from reelgate.admin.v1 import (
    account_pb2,
    account_service_pb2,
    account_service_pb2_grpc,
)

from services.cli.admin.balances import grant_credits
from services.cli.admin.channel import open_admin_channel
from services.cli.admin.keys import create_key, set_key_rules
from services.cli.admin.records import (
    ENVIRONMENTS,
    Account,
    AccountRules,
    Funds,
    KeyRules,
    Limits,
    NewAccount,
    Note,
    Spending,
)
from services.cli.admin.secrets import ensure_signing_secret
from services.cli.admin.target import AdminTarget
from services.cli.admin.wire import to_limits_message, to_note_message, to_record, to_spending


async def create_account(
    name: str,
    *,
    contract: str,
    credits_micros: int,
    calls_per_minute: int | None = None,
    note: Note,
    billing: AdminTarget,
    webhooks: AdminTarget,
) -> NewAccount:
    """Opens an account with a key, and `credits_micros` if more than 0, in each environment. Raises ServiceError.

    The keys may make `calls_per_minute`; None is the default.
    """
    async with open_admin_channel(billing) as channel:
        account = await account_service_pb2_grpc.AccountServiceStub(channel).CreateAccount(
            account_service_pb2.CreateAccountRequest(
                name=name, contract=contract, audit=to_note_message(note)
            ),
            wait_for_ready=True,
        )
    keys = {}
    for environment in ENVIRONMENTS:
        key = await create_key(account.account_id, environment=environment, note=note, billing=billing)
        keys[environment] = key.secret
        if calls_per_minute is not None:
            rules = KeyRules(
                kind=None, calls_per_minute=calls_per_minute, jobs_at_once=None, moderation_profiles=()
            )
            await set_key_rules(key.key_id, rules=rules, note=note, billing=billing)
        if credits_micros:
            await grant_credits(
                account.account_id,
                environment=environment,
                amount_micros=credits_micros,
                note=note,
                billing=billing,
            )
    webhook_secrets = {
        environment: await ensure_signing_secret(
            account.account_id, environment=environment, webhooks=webhooks
        )
        for environment in ENVIRONMENTS
    }
    return NewAccount(account_id=account.account_id, keys=keys, webhook_secrets=webhook_secrets)


async def get_account(account_id: str, *, billing: AdminTarget) -> Account:
    """Returns one account. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        got = await account_service_pb2_grpc.AccountServiceStub(channel).GetAccount(
            account_service_pb2.GetAccountRequest(account_id=account_id), wait_for_ready=True
        )
    return _account(got.account)


async def list_accounts(
    *, before_id: str | None, accounts_max: int, billing: AdminTarget
) -> Sequence[Account]:
    """Returns accounts, newest first, from the one before `before_id` on. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        listed = await account_service_pb2_grpc.AccountServiceStub(channel).ListAccounts(
            account_service_pb2.ListAccountsRequest(before_account_id=before_id, limit=accounts_max),
            wait_for_ready=True,
        )
    return [_account(account) for account in listed.accounts]


async def suspend_account(account_id: str, *, note: Note, billing: AdminTarget) -> Account:
    """Stops every key of an account from working. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        suspended = await account_service_pb2_grpc.AccountServiceStub(channel).SuspendAccount(
            account_service_pb2.SuspendAccountRequest(account_id=account_id, audit=to_note_message(note)),
            wait_for_ready=True,
        )
    return _account(suspended.account)


async def resume_account(account_id: str, *, note: Note, billing: AdminTarget) -> Account:
    """Lets the keys of a suspended account work again. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        resumed = await account_service_pb2_grpc.AccountServiceStub(channel).ResumeAccount(
            account_service_pb2.ResumeAccountRequest(account_id=account_id, audit=to_note_message(note)),
            wait_for_ready=True,
        )
    return _account(resumed.account)


async def change_account_limits(
    account_id: str, *, environment: str, change: Callable[[Limits], Limits], note: Note, billing: AdminTarget
) -> Spending:
    """Replaces the limits of an account by what `change` makes of them. Raises ServiceError."""
    account = await get_account(account_id, billing=billing)
    before = next(funds.spending.limits for funds in account.funds if funds.environment == environment)
    async with open_admin_channel(billing) as channel:
        answer = await account_service_pb2_grpc.AccountServiceStub(channel).SetAccountLimits(
            account_service_pb2.SetAccountLimitsRequest(
                account_id=account_id,
                environment=environment,
                limits=to_limits_message(change(before)),
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return to_spending(answer.spending)


async def set_account_rules(
    account_id: str, *, rules: AccountRules, note: Note, billing: AdminTarget
) -> AccountRules:
    """Replaces how an account may be used. Raises ServiceError."""
    async with open_admin_channel(billing) as channel:
        ruled = await account_service_pb2_grpc.AccountServiceStub(channel).SetAccountRules(
            account_service_pb2.SetAccountRulesRequest(
                account_id=account_id,
                rules=account_pb2.AccountRules(**vars(rules)),
                audit=to_note_message(note),
            ),
            wait_for_ready=True,
        )
    return to_record(AccountRules, ruled.rules)


def _account(account: account_pb2.Account) -> Account:
    funds = [to_record(Funds, entry, spending=to_spending(entry.spending)) for entry in account.funds]
    return to_record(Account, account, rules=to_record(AccountRules, account.rules), funds=funds)

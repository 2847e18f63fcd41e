from services.billing.domain import AccountRules, AuditNote, account_not_found
from services.billing.ports import Accounts


async def set_account_rules(
    account_id: str, *, rules: AccountRules, note: AuditNote, accounts: Accounts
) -> AccountRules:
    """Replaces how an account may be used. Repeating it changes nothing. Refuses with ACCOUNT_NOT_FOUND."""
    replaced = await accounts.set_rules(account_id, rules=rules, note=note)
    if replaced is None:
        raise account_not_found(account_id)
    return replaced

"""Who locks what first: one order for every statement of this database, so that two may wait but never in a circle.

Whoever moves credits first locks every balance concerned, and then takes holds: the functions of the migrations do. What
counts against limits is changed only under the lock of its balance. Rows of one table are locked in the order of their
primary key. New rows are in nobody's way where nobody else can have their id; a hold's can be wished for twice.
"""

LOCK_ORDER = (
    "accounts", "api_keys", "call_limits", "balances", "holds", "spending",
    "price_versions", "prices", "transactions", "entries", "audit",
)  # fmt: skip

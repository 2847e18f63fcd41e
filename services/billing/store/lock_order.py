"""The lock order: the same for every statement of this database, so that none can deadlock.

A function that moves credits first locks every balance concerned, and then the holds. What
counts against limits is changed only under the lock of its balance. Rows of one table are locked in the order of their
primary key. New rows block nothing if no other transaction can choose their id; the same hold id can be requested
twice.
"""

LOCK_ORDER = (
    "accounts", "api_keys", "call_limits", "balances", "holds", "spending",
    "price_versions", "prices", "transactions", "entries", "audit",
)  # fmt: skip

"""The lock order: the same for every statement of this database, so that none can deadlock.

Most of them are functions of the migrations. Rows of one table are locked in the order of their primary key. What takes
a turn, then its lanes and then their heads goes the other way, and so skips rows instead of waiting; so does what forgets
events. Of deliveries, those that are to go on are locked under the lock of their head; those that have ended come before
it, because they are locked to be delivered again: one, or many of an account under the lock of its turn.
New rows block nothing if no other transaction can choose their id.
"""

LOCK_ORDER = (
    "account_secrets", "signing_secrets", "endpoints", "idempotency", "redelivery_turns", "redeliveries",
    "events", "ended deliveries", "listeners", "heard", "dispatchers", "heads", "open deliveries", "attempts", "lanes", "turns", "audit",
)  # fmt: skip

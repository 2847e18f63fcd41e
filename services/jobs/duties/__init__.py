"""What a worker does by itself: a file each, with its interval beside its function.

`wiring/worker.py` lists them all, and with them the duty that every service has: forgetting idempotency keys
(`common/idempotency/store.py`).
"""

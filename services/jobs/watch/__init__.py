"""How callers follow a job: subscriptions of this process, and the event streams made of them."""

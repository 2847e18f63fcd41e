"""Taking a provider's hint."""

from collections.abc import Callable

from services.jobs.callback_tokens import CallbackTokens
from services.jobs.store.queue.work import SqlWork


async def receive_callback(
    address_token: str,
    body: bytes,
    *,
    tokens: CallbackTokens,
    work: SqlWork,
    claimed_task_id: Callable[[bytes], str | None],
    notify: Callable[[], None],
) -> None:
    """Makes the job of the attempt with that token due at once, and wakes the workers.

    `claimed_task_id` reads from the body what the task is called; it is only noted, never trusted.
    A token that is not ours changes nothing, and costs no query. Repeating it is harmless.
    """
    token = tokens.open(address_token)
    if token is not None and await work.wake(token, claimed_task_id=claimed_task_id(body)):
        notify()

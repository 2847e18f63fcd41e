"""Taking a provider's hint."""

from collections.abc import Callable

from services.jobs.callback_tokens import CallbackTokens
from services.jobs.store.queue.work import SqlWork
from services.upstream.provider import Hint


async def receive_callback(
    address_token: str,
    body: bytes,
    *,
    tokens: CallbackTokens,
    work: SqlWork,
    read_hint: Callable[[bytes], Hint | None],
    notify: Callable[[], None],
) -> None:
    """Makes the job of the attempt with that token due at once, and wakes the workers.

    `read_hint` reads from the body what the task is called; it is only noted, never trusted.
    A token that is not ours changes nothing, and costs no query. Repeating it is harmless.
    """
    token = tokens.open(address_token)
    if token is None:
        return
    hint = read_hint(body)
    if await work.wake(token, claimed_task_id=hint.task_id if hint else None):
        notify()

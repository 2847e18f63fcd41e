"""Taking a provider's hint."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.jobs.callback_tokens import CallbackTokens
from services.jobs.ports import Providers
from services.jobs.provider_lookup import provider_of
from services.jobs.refusals import callback_not_judged
from services.jobs.store.queue.called import SqlCalled
from services.jobs.store.queue.work import SqlWork
from services.upstream.provider import UpstreamError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CallbackReceiver:
    """Takes hints from providers. `notify` wakes the workers."""

    tokens: CallbackTokens
    called: SqlCalled
    work: SqlWork
    providers: Providers
    notify: Callable[[], None]

    async def receive(self, address_token: str, headers: Mapping[str, str], body: bytes) -> None:
        """Makes the job of the attempt with that token due at once, and wakes the workers, if its provider takes the hint.

        A token that is not ours changes nothing, and costs no query. A callback that its provider should have signed and
        did not changes nothing either. Repeating it is harmless. Refuses with UNAVAILABLE what cannot be judged now.
        """
        token = self.tokens.open(address_token)
        called = None if token is None else await self.called.find(token)
        if called is None:
            return
        attempt = called.attempt
        try:
            provider = provider_of(attempt, called.environment, self.providers)
            hint = await provider.read_callback(headers, body, model=attempt.upstream_model)
        except UpstreamError as error:
            log.warning("attempt=%s callback not judged detail=%s", attempt.id, error.detail)
            raise callback_not_judged() from error
        if hint is None:
            log.warning("attempt=%s callback names no task, or its signature is missing or wrong", attempt.id)
        elif await self.work.wake(attempt.token, hint):
            self.notify()

"""What adapters have in common whose providers list nothing, keep nothing of ours and stop nothing."""

from collections.abc import Mapping

from typing_extensions import override

from services.upstream.provider import Hint, Provider, Refused, UnsearchableError


class UntraceableProvider(Provider):
    """A provider of which only the answer to a submission tells what the task is called."""

    @override
    async def find(
        self, correlation_id: str, *, model: str, created_after: float, timeout_seconds: float
    ) -> str | None:
        """Raises UnsearchableError."""
        raise UnsearchableError("tasks keep no correlation id")

    @override
    async def carries(self, task_id: str, correlation_id: str, *, timeout_seconds: float) -> bool:
        """Raises UnsearchableError."""
        raise UnsearchableError("tasks keep no correlation id")

    @override
    async def cancel(self, task_id: str, *, timeout_seconds: float) -> bool:
        """Returns whether the task has ended without a result. It is only asked about, because nothing can be stopped."""
        return isinstance(await self.check(task_id, timeout_seconds=timeout_seconds), Refused)

    @override
    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        """Returns None: no order asks to be called back."""
        return None

"""What tools need of the API: calls with somebody's key, over gRPC or over HTTP, that answer or are refused."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from services.mcp.methods import Method

CALL_SECONDS: Final = 14.0
"""How long a call may take that does not ask to wait: as long as a service may."""
KEY_CODES: Final = frozenset({"invalid_api_key", "unauthorized"})


class Refused(Exception):  # noqa: N818  it is the API's answer, not a fault
    """The API refused a call, with the code and the sentence of the caller's contract."""

    def __init__(self, code: str, message: str, *, retry_after_seconds: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @property
    def of_key(self) -> bool:
        """Whether the key does not work."""
        return self.code in KEY_CODES


class Calls(Protocol):
    """Calls the public API."""

    async def __call__(
        self,
        method: Method,
        fields: Mapping[str, Any],
        *,
        key: str,
        idempotency_key: str = "",
        seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        """Returns the answer as JSON, within `seconds`. Raises Refused."""
        ...

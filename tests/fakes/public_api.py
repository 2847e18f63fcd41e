"""A stand-in for the public API: it answers what it was told to, and keeps what it was asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.mcp.calls import CALL_SECONDS, Refused
from services.mcp.methods import Method

Answers = Mapping[str, dict[str, Any] | Refused]


@dataclass(frozen=True)
class Asked:
    """One call."""

    name: str
    fields: dict[str, Any]
    key: str
    idempotency_key: str
    seconds: float


@dataclass
class PublicApi:
    """Answers by the name of a method; a refusal is raised."""

    answers: Answers
    asked: list[Asked] = field(default_factory=list)

    async def __call__(
        self,
        method: Method,
        fields: Mapping[str, Any],
        *,
        key: str,
        idempotency_key: str = "",
        seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        self.asked.append(Asked(method.name, dict(fields), key, idempotency_key, seconds))
        answer = self.answers[method.name]
        if isinstance(answer, Refused):
            raise answer
        return answer

    def names(self) -> list[str]:
        """Returns what was called, in order."""
        return [each.name for each in self.asked]

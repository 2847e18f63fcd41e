"""Findings, and the run of all checks of a service."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

CHECK_SECONDS_MAX = 20.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that will not work."""

    subject: str
    """What was looked at."""
    problem: str
    remedy: str
    """What to do, as an order."""

    def line(self, service: str) -> str:
        """Returns the finding as one line."""
        return f"{service}: {self.subject}: {self.problem}. {self.remedy}."


@dataclass(frozen=True)
class Check:
    """A look at one thing."""

    subject: str
    look: Callable[[], Awaitable[Sequence[Finding]]]


async def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Looks at one thing after the other. One that does not answer in time is a finding."""
    return [finding for check in checks for finding in await _looked(check)]


async def _looked(check: Check) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return await check.look()
    except TimeoutError:
        return [
            Finding(
                subject=check.subject,
                problem=f"no answer within {CHECK_SECONDS_MAX:.0f} s",
                remedy="See whether it runs, and whether this network lets calls to it through",
            )
        ]

"""Refusals that a test key may ask for, because nothing else brings them about there."""

import re

from services.common.errors import Reason, ServiceError
from services.jobs.domain import Job, in_credits
from services.jobs.operations.moderate_prompt import content_refused

NO_CREDITS = "no credits"
REFUSED_PROMPT = "refused prompt"
_DIRECTIVE = re.compile(rf"\[simulate:\s*({NO_CREDITS}|{REFUSED_PROMPT})\s*\]", re.IGNORECASE)


def refuse_if_asked(job: Job) -> None:
    """Refuses a test job whose prompt asks for it, with CREDITS_INSUFFICIENT or CONTENT_REFUSED."""
    found = _DIRECTIVE.search(job.input.prompt) if job.owner.environment == "test" else None
    if found is None:
        return
    if found[1].lower() == NO_CREDITS:
        raise ServiceError(
            Reason.CREDITS_INSUFFICIENT,
            f"This task needs {in_credits(job.reserved_micros)} credits; 0 are available. Please top up.",
            needed_micros=str(job.reserved_micros),
            available_micros="0",
        )
    raise content_refused("simulated")

"""Directives in the prompts of test keys: each is known, or refused; some are refusals that nothing else brings about."""

import re
from typing import Final

from services.common.errors import Reason, ServiceError, invalid_field
from services.common.money import in_credits
from services.jobs.domain.job import Job
from services.jobs.domain.requests import NewJob
from services.jobs.refusals import content_refused

NO_CREDITS = "no credits"
REFUSED_PROMPT = "refused prompt"
NUMBERED: Final = (
    "slow",
    "queue",
    "overload",
    "create error",
    "rate limit",
    "poll error",
    "garbled poll",
    "strange status",
)
"""Directives that may be given a number."""
PLAIN: Final = (
    "fail", "bad image", "moderated prompt", "moderated video", "expire", "short clip", NO_CREDITS, REFUSED_PROMPT,
    "lost response", "stored error", "garbled create", "no video", "wrong media", "truncated media", "corrupt media",
    "twice callbacks", "shuffled callbacks", "no callbacks", "callbacks only",
)  # fmt: skip
_LISTED = ", ".join((*PLAIN, *(f"{name} N" for name in NUMBERED)))
_MEANT = re.compile(r"\[\s*simulate\b[^\]]*\]?", re.IGNORECASE)
"""Whatever somebody wrote as a directive, well or not."""
_DIRECTIVE = re.compile(r"\[simulate:\s*([a-z ]*?)\s*(\d{1,4})?\s*\]", re.IGNORECASE)


def check_directive(wanted: NewJob, *, environment: str) -> None:
    """Refuses with INVALID_FIELD a test prompt with a directive that would not be followed. In live it is text."""
    meant = _MEANT.findall(wanted.input.prompt) if environment == "test" else []
    if len(meant) > 1:
        raise invalid_field(
            wanted.field_name("prompt"), f"may hold one [simulate: …] directive; it had {len(meant)}"
        )
    if meant and not _is_known(meant[0]):
        rule = f"holds a directive that is not known; with a test key [simulate: …] may be one of {_LISTED}"
        raise invalid_field(wanted.field_name("prompt"), rule, meant[0])


def _is_known(directive: str) -> bool:
    found = _DIRECTIVE.fullmatch(directive)
    if found is None:
        return False
    name, number = found[1].lower(), found[2]
    return name in NUMBERED or (name in PLAIN and number is None)


def refuse_if_asked(job: Job) -> None:
    """Refuses a test job whose prompt asks for it, with CREDITS_INSUFFICIENT or CONTENT_REFUSED."""
    found = _DIRECTIVE.search(job.input.prompt) if job.owner.environment == "test" else None
    asked = "" if found is None else found[1].lower()
    if asked == NO_CREDITS:
        raise ServiceError(
            Reason.CREDITS_INSUFFICIENT,
            f"This task needs {in_credits(job.reserved_micros)} credits; 0 are available. Please top up.",
            needed_micros=str(job.reserved_micros),
            available_micros="0",
        )
    if asked == REFUSED_PROMPT:
        raise content_refused("simulated")

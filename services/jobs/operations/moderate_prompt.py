"""Judging what is asked for, before anything is set aside for it."""

import logging
import time
from collections.abc import Awaitable, Callable

from services.common.errors import Reason, ServiceError, invalid_field
from services.jobs.clients import ModerationClient, ModeratorUnavailableError
from services.jobs.domain.requests import Buyer, NewJob
from services.jobs.profiles import FailMode, Profile, Profiles, category_of
from services.jobs.refusals import content_refused

log = logging.getLogger(__name__)

_UNANSWERED = "unanswered"

Moderate = Callable[[NewJob, Buyer, str], Awaitable[str]]
"""Judges a request of a buyer for the job of an id. Returns the name of the profile it was judged by, or refuses."""


async def moderate_prompt(
    wanted: NewJob, buyer: Buyer, job_id: str, *, profiles: Profiles, moderator: ModerationClient | None
) -> str:
    """Judges a prompt by the profile the request chose, else by that of its account. Returns the profile's name.

    Writes one line about each decision, without the prompt. Without a moderator the rules alone decide.
    Refuses with CONTENT_REFUSED, with INVALID_FIELD a profile that may not be chosen, or with UNAVAILABLE.
    """
    profile = _profile(wanted, buyer, profiles)
    started = time.perf_counter()
    category, outcome = await _judged(wanted.input.prompt, profile, moderator)
    log.info(
        "job=%s account=%s environment=%s profile=%s outcome=%s category=%s duration_ms=%.1f",
        job_id, buyer.owner.account_id, buyer.owner.environment, profile.name, outcome, category or "-",
        (time.perf_counter() - started) * 1000,
    )  # fmt: skip
    if category is not None:
        raise content_refused(category)
    if outcome == _UNANSWERED:
        raise ServiceError(Reason.UNAVAILABLE, "The prompt could not be checked just now. Please try again.")
    return profile.name


async def _judged(
    prompt: str, profile: Profile, moderator: ModerationClient | None
) -> tuple[str | None, str]:
    category = category_of(prompt, profile)
    if category is None and profile.external is not None and moderator is not None:
        try:
            category = await moderator.category_of(prompt)
        except ModeratorUnavailableError as error:
            log.warning("moderation endpoint: %s", error.detail)
            return None, "accepted_unanswered" if profile.external is FailMode.OPEN else _UNANSWERED
    return category, "accepted" if category is None else "refused"


def _profile(wanted: NewJob, buyer: Buyer, profiles: Profiles) -> Profile:
    of_account = buyer.moderation_profile or profiles.default
    chosen = wanted.moderation_profile or of_account
    allowed = [name for name in sorted({of_account, *buyer.moderation_profiles}) if name in profiles.by_name]
    if chosen in allowed:
        return profiles.by_name[chosen]
    if chosen == of_account:
        # Somebody meant these prompts to be judged: no other profile will do.
        log.error(
            "account=%s has moderation profile %s, which is not configured", buyer.owner.account_id, chosen
        )
        raise ServiceError(
            Reason.UNAVAILABLE,
            "The moderation profile of this account is not available. Please contact support.",
        )
    rule = f"must be one of {', '.join(allowed)}" if allowed else "must not be sent"
    raise invalid_field(wanted.field_name("moderation_profile"), rule, chosen)

"""Moderation profiles, and how they judge a prompt."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from services.jobs.normalized_text import Readings, readings_of

SPELLED_LENGTH_MIN = 4
"""Shorter words appear too often by chance in text that is spelled letter by letter."""


class FailMode(StrEnum):
    """What happens to a request if the external endpoint does not judge it in time."""

    OPEN = "open"
    """It is accepted if the rules accept it."""
    CLOSED = "closed"
    """It is refused with a temporary error."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What makes a prompt fall under a category. One match is enough."""

    category: str
    words: frozenset[str]
    phrases: tuple[str, ...]
    """Several words, with a space before and after each, or without spaces in scripts that do not use them."""
    patterns: tuple[re.Pattern[str], ...]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The rules that prompts are judged by, in order."""

    name: str
    rules: tuple[Rule, ...]
    external: FailMode | None
    """None: the external endpoint is not asked."""


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """All profiles, and the name of the default."""

    by_name: Mapping[str, Profile]
    default: str


def category_of(prompt: str, profile: Profile) -> str | None:
    """Returns the category of the first rule that a reading of the prompt falls under, if any."""
    if not profile.rules:
        return None
    readings = readings_of(prompt)
    words = frozenset(chain.from_iterable(text.split() for text in readings.texts))
    return next((rule.category for rule in profile.rules if _falls_under(rule, readings, words)), None)


def _falls_under(rule: Rule, readings: Readings, words: frozenset[str]) -> bool:
    return (
        not rule.words.isdisjoint(words)
        or any(phrase in text for text in readings.texts for phrase in rule.phrases)
        or any(pattern.search(text) for text in readings.texts for pattern in rule.patterns)
        or any(
            word in run for run in readings.spelled for word in rule.words if len(word) >= SPELLED_LENGTH_MIN
        )
    )

"""Moderation profiles: values, and what they say about a prompt."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from services.jobs.normalized_text import Readings, readings_of

SPELLED_LENGTH_MIN = 4
"""Shorter words are too often a part of what is spelled letter by letter."""


class FailMode(StrEnum):
    """What becomes of a request that the external endpoint does not judge in time."""

    OPEN = "open"
    """It is accepted on the word of the rules alone."""
    CLOSED = "closed"
    """It is refused for the moment."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a category consists of. Any one of them is enough."""

    category: str
    words: frozenset[str]
    phrases: tuple[str, ...]
    """Several words, with a space before and after each; without, where a script parts no words."""
    patterns: tuple[re.Pattern[str], ...]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What prompts are judged by, in the order of the rules."""

    name: str
    rules: tuple[Rule, ...]
    external: FailMode | None
    """None: the external endpoint is not asked."""


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """The profiles there are, and the one that holds where nobody chose."""

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

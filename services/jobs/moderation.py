"""Reads the moderation file: rules by category, and the profiles made of them."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.jobs.normalized_text import words_of
from services.jobs.profiles import FailMode, Profile, Profiles, Rule

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""For the names of profiles, rules and categories. The protos have the same pattern for the profile of a request."""
PATTERN_CHOICES_MAX = 1000
"""How many ways a pattern may match from one position, so that a prompt of 10,000 characters is judged quickly."""

_TOKEN = re.compile(
    r"""\\. | \[\^?\]?(?:\\.|[^\]\\])*\]                             # one character, however it is described
    | (?P<strange>\(\?(?!P<|:|<?[=!])) | (?P<opening>\((?:\?(?:P<\w+>|:|<?[=!]))?)
    | (?P<bar>\|) | (?P<closing>\))
    | (?P<repetition>[*+?]|\{(?P<least>\d*)(?P<comma>,?)(?P<most>\d*)\})[?+]?
    | .""",
    re.VERBOSE | re.DOTALL,
)


_ESCAPE = re.compile(r"\\.", re.DOTALL)
_WORD_CHOICE = re.compile(r"(?<!\\)\((?:\?:)?([a-z0-9 ]+(?:\|[a-z0-9 ]+)*)\)")


class ModerationError(Exception):
    """The moderation file is invalid. The message has one line for each problem: `place: what is wrong`."""


def _term(text: str) -> str:
    if not words_of(text).strip():
        raise ValueError("must contain a letter or a digit")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a pattern: {error}") from error
    if any(letter.isupper() for letter in _ESCAPE.sub("", text)):
        raise ValueError("must be in lower case, because prompts are judged in lower case")
    choices = _choices(text)
    if choices is None:
        raise ValueError("has no bound: end every repetition, as in {0,20}, and repeat no group")
    if choices > PATTERN_CHOICES_MAX:
        raise ValueError(f"may match in {choices} ways from one position; {PATTERN_CHOICES_MAX} are allowed")
    return text


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Term = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_term)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Rule(_Part):
    category: Name
    terms: Annotated[tuple[Term, ...], Field(max_length=1000)] = ()
    patterns: Annotated[tuple[Pattern, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _not_empty(self) -> "_Rule":
        if not (self.terms or self.patterns):
            raise ValueError("needs terms or patterns")
        return self


class _Profile(_Part):
    rules: Annotated[tuple[Name, ...], Field(max_length=100)]
    external: FailMode | None = None


class _File(_Part):
    default: Name
    rules: Annotated[dict[Name, _Rule], Field(max_length=100)]
    profiles: Annotated[dict[Name, _Profile], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _whole(self) -> "_File":
        if self.default not in self.profiles:
            raise ValueError(f"default: there is no profile {self.default}")
        for name, profile in self.profiles.items():
            for rule in profile.rules:
                if rule not in self.rules:
                    raise ValueError(f"profiles.{name}.rules: there is no rule {rule}")
        return self


def load_profiles(path: Path) -> Profiles:
    """Reads the profiles. Raises ModerationError."""
    try:
        # Every value stays text, so that a profile may be named off.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds text only
        file = _File.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModerationError(f"{path}: {error}") from error
    except ValidationError as error:
        raise ModerationError("\n".join(_problem(entry) for entry in error.errors())) from None
    rules = {name: _compiled(described) for name, described in file.rules.items()}
    profiles = {
        name: Profile(
            name=name, rules=tuple(rules[rule] for rule in described.rules), external=described.external
        )
        for name, described in file.profiles.items()
    }
    return Profiles(by_name=profiles, default=file.default)


def _problem(entry: Any) -> str:
    reason = entry["msg"].removeprefix("Value error, ")
    return f"{'.'.join(map(str, entry['loc']))}: {reason}" if entry["loc"] else str(reason)


def _compiled(described: _Rule) -> Rule:
    terms = [words_of(term) for term in described.terms]
    words = [term.strip() for term in terms if " " not in term.strip() and not _is_unspaced(term)]
    phrases = [term.strip() if _is_unspaced(term) else term for term in terms if term.strip() not in words]
    return Rule(
        category=described.category,
        words=frozenset(words),
        phrases=tuple(phrases),
        patterns=tuple(re.compile(pattern) for pattern in described.patterns),
    )


def _is_unspaced(term: str) -> bool:
    # Scripts with square letters put no spaces between words.
    return any(unicodedata.east_asian_width(letter) == "W" for letter in term)


def _choices(pattern: str) -> int | None:
    """Returns the most ways in which a pattern may match from one position, or None if there is no bound."""
    total, alternatives = 1, [1]
    before = ""
    for words in _WORD_CHOICE.findall(pattern):
        total *= _prefixes_max(words.split("|"))
    for found in _TOKEN.finditer(_WORD_CHOICE.sub("()", pattern)):
        if found["strange"]:
            return None
        if found["opening"]:
            alternatives.append(1)
        elif found["bar"]:
            alternatives[-1] += 1
        elif found["closing"]:
            total *= alternatives.pop()
        elif found["repetition"]:
            ways = _repetitions(found)
            if ways is None or (before == ")" and found["repetition"] != "?"):
                return None
            total *= ways
        before = found.group()
    return total * alternatives[0]


def _prefixes_max(words: Sequence[str]) -> int:
    """Returns how many of the words may match from one position: those that are prefixes of each other."""
    return max(sum(longer.startswith(word) for word in words) for longer in words)


def _repetitions(found: re.Match[str]) -> int | None:
    if found["repetition"] == "?":
        return 2
    if found["most"]:
        return int(found["most"]) - int(found["least"] or 0) + 1 if found["comma"] else 1
    return None if found["comma"] or found["repetition"] in {"*", "+"} else 1

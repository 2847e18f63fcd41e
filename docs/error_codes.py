"""What customers read about the codes of errors, checked against the codes that exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.common.errors import STATUS_BY_REASON
from services.edge.errors import REFUSALS
from services.edge.malformed import MALFORMED, UNREAD
from services.jobs.domain.failures import FailureCode

SOURCE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True, kw_only=True)
class ErrorCode:
    """One code, for customers."""

    code: str
    statuses: tuple[int, ...]
    """HTTP statuses that it comes with. None: it is why a task failed."""
    contract: str | None = None
    """The only contract that has it."""
    meaning: str
    cause: str
    fix: str
    retry: str


def error_codes() -> list[ErrorCode]:
    """Returns all codes, refusals first. Raises ValueError when the texts are not those of the codes that exist."""
    texts = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    statuses = _statuses()
    failures: dict[str, tuple[int, ...]] = {code.value: () for code in FailureCode}
    refusals = {code: statuses[code] for code in statuses if code not in failures}
    return [*_checked("refusals", texts, refusals), *_checked("failures", texts, failures)]


def _checked(
    kind: str, texts: Mapping[str, Mapping[str, Any]], known: Mapping[str, tuple[int, ...]]
) -> list[ErrorCode]:
    written = texts[kind]
    if written.keys() != known.keys():
        raise ValueError(
            f"{SOURCE.name} and the code differ in {kind}: {sorted(written.keys() ^ known.keys())}"
        )
    return [ErrorCode(code=code, statuses=known[code], **text) for code, text in written.items()]


def _statuses() -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for status in STATUS_BY_REASON.values():
        for code in (status.code, status.nextapi_code or status.code):
            found.setdefault(code, set()).add(status.http)
    for _, status, code, _ in (*REFUSALS, *MALFORMED, *UNREAD):
        found.setdefault(code, set()).add(status)
    return {code: tuple(sorted(each)) for code, each in found.items()}


def as_markdown(codes: list[ErrorCode]) -> str:
    """Returns one section for each code."""
    refusals = [each for each in codes if each.statuses]
    failures = [each for each in codes if not each.statuses]
    return "\n".join(
        [
            "## Refused requests\n",
            *map(_section, refusals),
            "## Failed tasks\n",
            "A task that was accepted can fail later: then its `error` has one of these codes, and its credits are back.\n",
            *map(_section, failures),
        ]
    )


def _section(each: ErrorCode) -> str:
    facts = [f"HTTP {', '.join(map(str, each.statuses))}" if each.statuses else ""]
    facts.append(f"{each.contract} only" if each.contract else "")
    said = "; ".join(fact for fact in facts if fact)
    return (
        f"### {each.code}\n\n{each.meaning}{f' ({said})' if said else ''}\n\n"
        f"- **Cause:** {_one_line(each.cause)}\n- **Fix:** {_one_line(each.fix)}\n- **Retry:** {_one_line(each.retry)}\n"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())

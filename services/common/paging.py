"""The one way to list for operators and our own services: bounded pages, each with a token that leads to the next."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from services.common.errors import ServiceError, invalid_field

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000
NUMBER_MAX = 2**63 - 1
EARLIEST = datetime.fromtimestamp(0, UTC)

Item = TypeVar("Item")


def page_size(asked: int) -> int:
    """Returns how many items a page may have: PAGE_SIZE_DEFAULT if none were asked for, and never above PAGE_SIZE_MAX."""
    return min(asked or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def cut(found: Sequence[Item], size: int, token_of: Callable[[Item], str]) -> tuple[Sequence[Item], str]:
    """Returns the page, and the token of the next one or "". `found` has one item more than `size` if there is a next."""
    page = found[:size]
    return page, token_of(page[-1]) if len(found) > size else ""


def number_in(token: str) -> int | None:
    """Returns the number that a token holds, or None for the first page. Refuses with INVALID_FIELD."""
    if not token:
        return None
    if not (token.isascii() and token.isdecimal() and len(token) < 20 and int(token) <= NUMBER_MAX):
        raise invalid_token(token)
    return int(token)


def moment_token(moment: datetime, item_id: str) -> str:
    """Returns the token after an item of a list in the order of moments, then of ids."""
    return f"{moment.isoformat()}/{item_id}"


def moment_in(token: str) -> tuple[datetime, str]:
    """Returns the moment and id that a token holds, or the earliest for the first page. Refuses with INVALID_FIELD."""
    if not token:
        return EARLIEST, ""
    try:
        moment, item_id = token.split("/")
        return datetime.fromisoformat(moment).astimezone(UTC), item_id
    except (ValueError, OverflowError) as error:
        raise invalid_token(token) from error


def invalid_token(token: str) -> ServiceError:
    """Returns the refusal of a token that no page gave."""
    return invalid_field("page_token", "must be the next_page_token of an earlier answer", token)

from datetime import UTC, datetime

import pytest

from services.common.errors import Reason, ServiceError
from services.common.paging import EARLIEST, cut, moment_in, moment_token, number_in, page_size


@pytest.mark.parametrize(
    ("asked", "size"), [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_a_size_is_lowered_and_never_refused(asked: int, size: int) -> None:
    assert page_size(asked) == size


@pytest.mark.parametrize(("found", "page", "token"), [("", "", ""), ("ab", "ab", ""), ("abc", "ab", "b")])
def test_only_a_page_that_others_follow_has_a_token(found: str, page: str, token: str) -> None:
    assert cut(found, 2, str) == (page, token)


def test_tokens_lead_back_to_where_they_were_made() -> None:
    moment = datetime(2026, 6, 1, 10, 0, 0, 123456, tzinfo=UTC)

    assert moment_in(moment_token(moment, "vid_1")) == (moment, "vid_1")
    assert number_in(str(2**63 - 1)) == 2**63 - 1


def test_no_token_is_the_first_page() -> None:
    assert (number_in(""), moment_in("")) == (None, (EARLIEST, ""))


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "²", str(2**63), "9" * 1000])
def test_a_token_that_is_no_number_is_refused(token: str) -> None:
    with pytest.raises(ServiceError) as refused:
        number_in(token)

    assert refused.value.reason is Reason.INVALID_FIELD

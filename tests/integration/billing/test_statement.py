"""The statement of an account: every movement of a balance and the balance after it, in bounded pages."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from reelgate.admin.v1 import account_service_pb2, statement_pb2

from services.billing.store.statements import _LINES
from services.common.clock import rfc3339
from services.common.errors import Reason, ServiceError
from services.common.rpc.enums import environment_value, text_of
from tests.integration.billing.running import CREDIT, Billing

DAY_1 = datetime(2026, 1, 1, tzinfo=UTC)
EVERY_KIND = [
    ("grant", "g1", 100, 0),
    ("hold", "job_1", -10, 10),
    ("hold", "job_2", -20, 20),
    ("hold", "job_3", -5, 5),
    ("capture", "job_1", 3, -10),
    ("capture", "job_2", 0, -20),
    ("correction", "c1", -30, 0),
    ("release", "job_3", 5, -5),
    ("hold", "job_4", -8, 8),
    ("expire", "job_4", 8, -8),
    ("refund", "r1", 7, 0),
    ("grant", "g2", 1, 0),
]


async def _page(billing: Billing, account_id: str, **wanted: Any) -> account_service_pb2.GetStatementResponse:
    return await billing.accounts.GetStatement(
        account_service_pb2.GetStatementRequest(
            account_id=account_id, **{"environment": environment_value("live"), **wanted}
        )
    )


def _kind(line: statement_pb2.StatementLine) -> str:
    return text_of(statement_pb2.MovementKind.DESCRIPTOR, line.kind)


async def _every_kind(billing: Billing) -> str:
    account = await billing.account()
    await billing.grant(account, 100 * CREDIT, grant_id="g1")
    for hold_id, credits_held in (("job_1", 10), ("job_2", 20), ("job_3", 5)):
        await billing.hold(hold_id, account, credits_held * CREDIT)
    await billing.capture("job_1", 7 * CREDIT)
    await billing.capture("job_2", 20 * CREDIT)
    await billing.correct(account, -30 * CREDIT, correction_id="c1")
    await billing.release("job_3")
    await billing.hold("job_4", account, 8 * CREDIT)
    await billing.let_time_run_out("job_4")
    await billing.sweep()
    await billing.refund("r1", "job_1", 7 * CREDIT, reason="goodwill")
    await billing.grant(account, CREDIT, grant_id="g2")
    return account


async def test_every_movement_is_told_with_the_balance_after_it(billing: Billing) -> None:
    account = await _every_kind(billing)

    lines = (await _page(billing, account)).lines

    told = [
        (_kind(line), line.reference, line.to_available_micros // CREDIT, line.to_held_micros // CREDIT)
        for line in lines
    ]
    assert told == EVERY_KIND
    assert [line.version for line in lines] == list(range(1, len(EVERY_KIND) + 1))
    for before, after in pairwise([statement_pb2.StatementLine(), *lines]):
        assert after.available_micros == before.available_micros + after.to_available_micros
        assert after.held_micros == before.held_micros + after.to_held_micros
        assert after.occurred_at >= before.occurred_at
    assert (lines[-1].available_micros, lines[-1].held_micros) == await billing.balance(account)
    assert {_kind(line): line.reason for line in lines if line.reason} == {
        "grant": "welcome",
        "correction": "welcome",
        "refund": "goodwill",
    }


async def test_pages_together_are_the_whole(billing: Billing) -> None:
    account = await _every_kind(billing)
    whole = await _page(billing, account)

    for limit in (1, 5, 6):
        lines: list[statement_pb2.StatementLine] = []
        token = ""
        for _ in range(-(-len(EVERY_KIND) // limit)):
            page = await _page(billing, account, page_size=limit, page_token=token)
            lines += page.lines
            token = page.next_page_token

        assert lines == list(whole.lines)
        assert token == ""


async def test_the_environments_of_an_account_have_statements_of_their_own(billing: Billing) -> None:
    account = await _every_kind(billing)
    await billing.grant(account, 5, grant_id="test", environment="test")
    await billing.grant(await billing.account(), 6, grant_id="other")

    [line] = (await _page(billing, account, environment=environment_value("test"))).lines

    assert (line.version, line.reference, line.available_micros) == (1, "test", 5)


async def test_an_account_that_never_moved_has_an_empty_statement(billing: Billing) -> None:
    answer = await _page(billing, await billing.account())

    assert answer == account_service_pb2.GetStatementResponse()


async def _daily_holds(billing: Billing, days: int, *, per_day: int = 1) -> str:
    """A hold of 1 micro-credit at each midnight, or several at the same one."""
    account = await billing.account()
    await billing.rows(
        """
        WITH written AS (
            INSERT INTO transactions (account_id, environment, version, kind, reference, created_at)
            SELECT %(account)s, 'live', number, 'hold', 'job_' || number,
                %(day_1)s + interval '1 day' * ((number - 1) / %(per_day)s)
            FROM generate_series(1, CAST(%(count)s AS bigint)) AS number
            RETURNING transaction_id, version
        ), changed AS (
            UPDATE balances SET available_micros = 0, held_micros = %(count)s, version = %(count)s
            WHERE account_id = %(account)s AND environment = 'live'
        )
        INSERT INTO entries (transaction_id, bucket, amount_micros, balance_micros)
        SELECT transaction_id, bucket, amount, CASE bucket WHEN 'held' THEN version ELSE %(count)s - version END
        FROM written CROSS JOIN (VALUES ('held', 1), ('available', -1)) AS part (bucket, amount)
        """,
        account=account,
        day_1=DAY_1,
        per_day=per_day,
        count=days * per_day,
    )
    return account


def _day(number: int, **later: float) -> str:
    return rfc3339(DAY_1 + timedelta(days=number - 1, **later))


RANGES: list[tuple[dict[str, Any], range]] = [
    ({}, range(1, 31)),
    ({"start": _day(4)}, range(10, 31)),
    ({"start": _day(4, milliseconds=1)}, range(13, 31)),
    ({"end": _day(4)}, range(1, 13)),
    ({"end": _day(4, milliseconds=-1)}, range(1, 10)),
    ({"start": _day(4), "end": _day(4)}, range(10, 13)),
    ({"start": _day(4), "end": _day(6), "page_token": "11"}, range(12, 19)),
    ({"start": _day(4), "page_token": "2"}, range(10, 31)),
    ({"start": _day(11)}, range(0)),
    ({"end": _day(0)}, range(0)),
    ({"start": _day(-400), "end": _day(400)}, range(1, 31)),
    ({"page_token": "30"}, range(0)),
    ({"page_token": str(2**63 - 1)}, range(0)),
    ({"start": "2026-01-04T02:00:00+02:00", "end": "2026-01-03T19:00:00-05:00"}, range(10, 13)),
]


async def test_a_range_holds_the_movements_between_its_moments(billing: Billing) -> None:
    account = await _daily_holds(billing, 10, per_day=3)

    for wanted, versions in RANGES:
        answer = await _page(billing, account, **wanted)

        assert [line.version for line in answer.lines] == list(versions), wanted
        assert [line.held_micros for line in answer.lines] == list(versions), wanted
        assert answer.next_page_token == "", wanted


async def test_a_range_is_paged_to_its_end(billing: Billing) -> None:
    account = await _daily_holds(billing, 10)

    first = await _page(billing, account, start=_day(4), end=_day(7), page_size=3)
    second = await _page(
        billing, account, start=_day(4), end=_day(7), page_size=3, page_token=first.next_page_token
    )

    assert [line.version for line in first.lines] == [4, 5, 6]
    assert [line.version for line in second.lines] == [7]
    assert second.next_page_token == ""


async def test_the_moments_of_a_range_count_to_the_millisecond_that_is_shown(billing: Billing) -> None:
    account = await _every_kind(billing)
    whole = (await _page(billing, account)).lines
    moment = whole[5].occurred_at

    found = (await _page(billing, account, start=moment, end=moment)).lines

    assert list(found) == [line for line in whole if line.occurred_at == moment]


async def test_a_page_of_a_long_history_reads_little_more_than_itself(billing: Billing) -> None:
    account = await _daily_holds(billing, 20_000)
    await billing.rows("ANALYZE")
    wanted = {"account_id": account, "environment": "live", "after_version": 0, "lines_max": 50}
    moments = {"start": DAY_1 + timedelta(days=12_000), "end": DAY_1 + timedelta(days=18_000)}

    [row] = await billing.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {_LINES.sql.decode()}", **wanted, **moments)

    [plan] = row["QUERY PLAN"]
    assert plan["Plan"]["Actual Rows"] == 50
    assert 100 < _rows_read(plan["Plan"]) < 1_000


def _rows_read(step: dict[str, Any]) -> float:
    """How many rows of tables a plan met, those it threw away included."""
    rows: float = sum(map(_rows_read, step.get("Plans", ())))
    if "Relation Name" in step:
        rows += (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
    return rows


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"start": "yesterday"}, "Field start must be an ISO 8601 date and time with a time zone"),
    ({"end": "2026-01-01T00:00:00"}, "Field end must be an ISO 8601 date and time with a time zone"),
    ({"end": "1969-12-31T23:59:59Z"}, "Field end must not be before the year 1970"),
    ({"start": "9999-12-31T23:59:59-10:00"}, "Field start must be an ISO 8601"),
    ({"start": _day(2), "end": _day(1)}, "Field start must not be after the end of the range"),
    ({"environment": 9}, "Field environment must be one of ENVIRONMENT_LIVE, ENVIRONMENT_TEST"),
    ({"page_size": -1}, "Field page_size"),
    ({"page_token": "-1"}, "Field page_token must be the next_page_token of an earlier answer"),
    ({"page_token": str(2**63)}, "Field page_token"),
]


async def test_a_range_that_cannot_be_is_refused(billing: Billing) -> None:
    for wanted, message in IMPOSSIBLE:
        with pytest.raises(ServiceError) as refused:
            await _page(billing, "acct_1", **wanted)

        assert refused.value.reason is Reason.INVALID_FIELD
        assert message in refused.value.message


async def test_the_statement_of_an_unknown_account_is_refused(billing: Billing) -> None:
    with pytest.raises(ServiceError) as refused:
        await _page(billing, "acct_nobody")

    assert refused.value.reason is Reason.ACCOUNT_NOT_FOUND

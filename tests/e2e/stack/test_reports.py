"""What operators read of the business as a whole, and how long they keep things of one account."""

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.common.clock import utc_now
from tests.e2e.customer import SMALL, open_customer
from tests.e2e.local_stack import Stack
from tests.e2e.stack.test_operators import Operator
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHEAP = {"model": "mini", "input": {"prompt": "a paper boat", **SMALL}}
"""20 credits of a cent each."""


@pytest.fixture
def operator(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    with ThreadPoolExecutor(1) as threads:
        yield Operator(stack, capsys, threads)


async def test_what_a_job_brought_in_is_reported_at_once_in_every_form(
    stack: Stack, operator: Operator
) -> None:
    account = stack.create_account("margin", credits_each="100")
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        video = await customer.create(CHEAP)
        await customer.until(video["id"], {"completed"}, seconds=PATIENCE_SECONDS)
    day = utc_now().date().isoformat()
    asked = ("report", "margin", "--by", "account", "--from", "2026-01-01", "--to", day)

    table = operator.run(*asked)
    rows = {
        row["account"]: row
        for row in csv.DictReader(io.StringIO(operator.run(*asked, "--format", "csv").stdout))
    }

    assert rows[account.account_id] == {
        "account": account.account_id,
        "completed": "1",
        "failed": "0",
        "revenue_usd": "0.200000",
        "cost_usd": "0.000000",
        "margin_usd": "0.200000",
        "margin_percent": "100.0",
    }
    assert table.returncode == 0, table.stderr
    lines = table.stdout.splitlines()
    assert lines[0].split()[:3] == ["account", "completed", "failed"]
    assert lines[-1].startswith("total")
    assert '"revenue_microdollars": 200000' in operator.run(*asked, "--format", "json").stdout


async def test_days_that_are_none_are_refused_in_words(operator: Operator) -> None:
    asked = ("report", "margin", "--by", "model", "--from")

    for since, until, said in (
        ("2026-02-30", "2026-03-01", "must be a day"),
        ("2026-03-02", "2026-03-01", "must not be before 2026-03-02"),
        ("yesterday", "2026-03-01", "since"),
    ):
        refused = operator.run(*asked, since, "--to", until)
        assert refused.returncode == 1
        assert said in refused.stderr


async def test_an_account_keeps_its_things_for_days_of_its_own(stack: Stack, operator: Operator) -> None:
    account = stack.create_account("days", credits_each="1")
    command = ("account", "retention", account.account_id)

    assert operator.answer(*command) == {"media_days": None, "content_days": None}
    operator.answer(*command, "--media-days", "30", "--reason", "agreed by mail")
    kept = operator.answer(*command, "--content-days", "forever")

    assert kept == operator.answer(*command) == {"media_days": 30, "content_days": 0}
    assert operator.run(*command, "--media-days", "default").stdout.split()[-2:] == ["default", "forever"]
    assert operator.run(*command, "--media-days", "0").returncode == 2
    unknown = operator.run("account", "retention", "acct_unknown", "--media-days", "3")
    assert (unknown.returncode, "acct_unknown" in unknown.stderr) == (1, True)
    entries = operator.answer("audit", "list", "--subject", account.account_id)
    assert [entry["action"] for entry in entries].count("account.retention") == 3

"""Each command of an operator against a running stack, and what customers see of it."""

import csv
import io
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import pytest_asyncio

from services.cli.app import main
from tests.e2e.customer import ENDED, SMALL, VIDEOS, Customer, data_of, open_customer
from tests.e2e.edge.client import Answer
from tests.e2e.local_stack import OFTEN, Account, Stack
from tests.patience import PATIENCE_SECONDS

REASON = ("--reason", "agreed by mail")
CHEAP = {"model": "mini", "input": {"prompt": "a paper boat", **SMALL}}
"""20 credits."""
ENDLESS = {"model": "mini", "input": {"prompt": "[simulate: slow 600] a boat", **SMALL}}


class Operator:
    """Runs `reelgate` commands on a stack, in a thread of this process: starting one for each would take a minute."""

    def __init__(self, stack: Stack, capsys: pytest.CaptureFixture[str], threads: Executor) -> None:
        self._place = ("--data", str(stack.folder))
        self._capsys = capsys
        self._threads = threads

    def run(self, *arguments: str) -> CompletedProcess[str]:
        """Runs a command, whatever comes of it."""
        code = self._threads.submit(self._exit_code, [*arguments, *self._place]).result(PATIENCE_SECONDS)
        return CompletedProcess(arguments, code, *self._capsys.readouterr())

    def answer(self, *arguments: str) -> Any:
        """Runs a command that must succeed. Returns what it prints with `--json`."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _exit_code(self, arguments: Sequence[str]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert isinstance(ended.value.code, int)
        return ended.value.code


@pytest.fixture(scope="module", autouse=True)
def _connected(stack: Stack) -> None:
    # Where another test restarted PostgreSQL, the next call of each service may find its connection broken, once.
    deadline = time.monotonic() + PATIENCE_SECONDS
    for command in ("account list", "job list"):
        while (done := stack.run(*command.split())).returncode:
            assert time.monotonic() < deadline, done.stderr


@pytest.fixture
def operator(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    with ThreadPoolExecutor(1) as threads:
        yield Operator(stack, capsys, threads)


@pytest.fixture
def own(operator: Operator) -> Account:
    """An account of this test only."""
    return Account(**operator.answer("account", "create", "operated", "--credits", "100", *OFTEN))


@pytest_asyncio.fixture
async def customer(stack: Stack, own: Account) -> AsyncIterator[Customer]:
    async with open_customer(stack.edge, own.keys["live"]) as opened:
        yield opened


def live_key(operator: Operator, account: Account) -> str:
    """Returns the identifier of the account's live key."""
    keys = operator.answer("key", "list", account.account_id)
    return next(str(key["key_id"]) for key in keys if key["environment"] == "live")


async def status_at_last(customer: Customer, wanted: int, method: str = "GET") -> Answer:
    """Asks for the balance, or for a video, until it is answered with this status. Returns that answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    path, body = ("/v1/balance", None) if method == "GET" else (VIDEOS, CHEAP)
    while True:
        asked_at = time.monotonic()
        answer = await customer.send(method, path, body)
        if answer.status == wanted:
            return answer
        assert asked_at < deadline, answer.body


def assert_told_in_one_line(refused: CompletedProcess[str], naming: str) -> None:
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("Error: ")
    assert refused.stderr.count("\n") == 1
    assert naming in refused.stderr


@pytest.mark.parametrize(
    "command",
    [
        "account show NOBODY",
        "account suspend NOBODY --reason x",
        "account resume NOBODY --reason x",
        "account limits NOBODY --per-day 5 --reason x",
        "key list NOBODY",
        "key create NOBODY --environment live",
        "key disable NOBODY",
        "key rotate NOBODY --overlap 24h",
        "key limits NOBODY --per-job 1 --per-day none --per-month none --reason x",
        "key models NOBODY mini --reason x",
        "account rules NOBODY --jobs-at-once 5 --reason x",
        "key rules NOBODY --kind admin --reason x",
        "credits correct NOBODY --take 5 --reason x",
        "statement NOBODY",
        "job fail NOBODY --reason x",
        "job recheck NOBODY --reason x",
        "job refund NOBODY --reason x",
        "event retry NOBODY --reason x",
    ],
)
def test_what_is_unknown_is_refused_by_its_name(operator: Operator, command: str) -> None:
    assert_told_in_one_line(operator.run(*command.split()), naming="NOBODY")


async def test_an_account_is_shown_with_its_funds_and_listed_first(operator: Operator, own: Account) -> None:
    shown = operator.answer("account", "show", own.account_id)
    listed = operator.answer("account", "list", "--limit", "1")
    older = operator.answer("account", "list", "--before", own.account_id)
    for_people = operator.run("account", "show", own.account_id).stdout

    assert listed == [shown]
    assert own.account_id not in [account["account_id"] for account in older]
    assert (shown["name"], shown["contract"], shown["suspended_at"]) == ("operated", "seedancee2", None)
    assert {funds["environment"]: funds["available_micros"] for funds in shown["funds"]} == {
        "live": 100_000_000,
        "test": 100_000_000,
    }
    assert own.account_id in for_people
    assert "100" in for_people


async def test_account_limits_refuse_a_customer_until_they_are_lifted(
    operator: Operator, own: Account, customer: Customer
) -> None:
    limits = ("account", "limits", own.account_id, *REASON)

    operator.answer(*limits, "--per-job", "19.999999")
    above = await customer.send("POST", VIDEOS, CHEAP)
    both = operator.answer(*limits, "--per-day", "30")
    lifted = operator.answer(*limits, "--per-job", "none")
    accepted = await customer.send("POST", VIDEOS, ENDLESS)
    second = await customer.send("POST", VIDEOS, CHEAP)

    assert [answer.status for answer in (above, accepted, second)] == [402, 200, 402]
    assert above.json["error"]["code"] == "insufficient_credits"
    assert both["limits"] == {
        "per_job_micros": 19_999_999,
        "per_day_micros": 30_000_000,
        "per_month_micros": None,
    }
    assert lifted["limits"]["per_job_micros"] is None
    assert lifted["limits"]["per_day_micros"] == 30_000_000
    operator.answer("job", "fail", data_of(accepted)["id"], *REASON)


async def test_a_suspended_account_is_soon_locked_out_and_comes_back(
    operator: Operator, own: Account, customer: Customer
) -> None:
    await customer.get("/v1/balance")

    suspended = operator.answer("account", "suspend", own.account_id, *REASON)
    await status_at_last(customer, 401)
    resumed = operator.answer("account", "resume", own.account_id, *REASON)
    await status_at_last(customer, 200)

    assert suspended["suspended_at"]
    assert resumed["suspended_at"] is None


async def test_both_secrets_of_a_rotated_key_work_during_the_overlap_and_then_only_the_new(
    stack: Stack, operator: Operator, own: Account, customer: Customer
) -> None:
    key_id = live_key(operator, own)

    rotated = operator.answer("key", "rotate", key_id, "--overlap", "24h")
    listed = next(key for key in operator.answer("key", "list", own.account_id) if key["key_id"] == key_id)
    async with open_customer(stack.edge, rotated["secret"]) as renewed:
        during = [await one.send("GET", "/v1/balance") for one in (customer, renewed)]
        operator.answer("key", "rotate", key_id, "--overlap", "0s")
        await status_at_last(customer, 401)
        await status_at_last(renewed, 401)

    assert [answer.status for answer in during] == [200, 200]
    assert rotated["key_id"] == key_id
    assert listed["previous_until"] == rotated["previous_until"]
    assert listed["hint"].endswith(rotated["secret"][-4:])


async def test_a_key_is_bound_by_its_own_limits_and_models(
    operator: Operator, own: Account, customer: Customer
) -> None:
    key_id = live_key(operator, own)
    unlimited_else = ("--per-day", "none", "--per-month", "none")

    limited = operator.answer("key", "limits", key_id, "--per-job", "10", *unlimited_else, *REASON)
    above = await customer.send("POST", VIDEOS, CHEAP)
    bound = operator.answer("key", "models", key_id, "fast", *REASON)
    refused = await status_at_last(customer, 404, "POST")
    free = operator.answer("key", "models", key_id, "--all", *REASON)

    assert above.status == 402
    assert limited["spending"]["limits"]["per_job_micros"] == 10_000_000
    assert bound["models"] == ["fast"]
    assert refused.json["error"]["code"] == "model_not_found"
    assert free["models"] == []
    assert free["spending"]["limits"] == limited["spending"]["limits"]


def test_rules_are_set_as_a_whole_and_shown(operator: Operator, own: Account) -> None:
    key_id = live_key(operator, own)
    profiles = ("--moderation-profile", "strict", "--moderation-profile", "off")

    of_key = operator.answer("key", "rules", key_id, "--kind", "admin", *profiles, *REASON)
    fewer = operator.answer("key", "rules", key_id, "--calls-per-minute", "60", *REASON)
    of_account = operator.answer("account", "rules", own.account_id, "--jobs-at-once", "5", *REASON)
    shown = operator.run("account", "show", own.account_id).stdout
    listed = operator.run("key", "list", own.account_id).stdout

    assert of_key["rules"] == {
        "kind": "admin",
        "calls_per_minute": None,
        "jobs_at_once": None,
        "moderation_profiles": ["off", "strict"],
    }
    assert (fewer["rules"]["kind"], fewer["rules"]["calls_per_minute"]) == ("business", 60)
    assert fewer["rules"]["moderation_profiles"] == []
    assert of_account == {"jobs_at_once": 5, "moderation_profile": None}
    assert "jobs at once" in shown
    assert "calls per minute" in listed


async def test_a_correction_adds_or_takes_and_never_takes_what_is_not_there(
    operator: Operator, own: Account
) -> None:
    correct = ("credits", "correct", own.account_id, *REASON)

    taken = operator.answer(*correct, "--take", "0.000001")
    added = operator.answer(*correct, "--add", "5", "--environment", "test")

    assert taken["available_micros"] == 99_999_999
    assert added["available_micros"] == 105_000_000
    assert_told_in_one_line(operator.run(*correct, "--take", "100"), naming="100")


async def test_a_stuck_job_is_found_hurried_and_given_up(
    operator: Operator, own: Account, customer: Customer
) -> None:
    video_id = (await customer.create(ENDLESS))["id"]
    await customer.until(video_id, ["processing"], seconds=PATIENCE_SECONDS)

    found = operator.answer("job", "list", "--state", "processing", "--older-than", "0s", "--limit", "1000")
    for_people = operator.run("job", "list", "--limit", "1000").stdout
    young = operator.answer("job", "list", "--older-than", "24h")
    hurried = operator.answer("job", "recheck", video_id, *REASON)
    operator.answer("job", "fail", video_id, *REASON)
    failed = data_of(await customer.until(video_id, ENDED, seconds=PATIENCE_SECONDS))

    job = next(entry for entry in found if entry["job_id"] == video_id)
    assert (job["account_id"], job["model"], job["environment"]) == (own.account_id, "mini", "live")
    assert job["task_id"]
    assert video_id in for_people
    assert young == []
    assert hurried == {"job_id": video_id}
    assert (failed["status"], failed["credits_refunded"]) == ("failed", 20)
    assert (await customer.get("/v1/balance")) == {"available": 100, "held": 0}
    assert_told_in_one_line(operator.run("job", "recheck", video_id, *REASON), naming=video_id)


async def test_a_refund_shows_in_usage_statement_and_audit_and_the_books_agree(
    operator: Operator, own: Account, customer: Customer
) -> None:
    video_id = (await customer.create(CHEAP))["id"]
    completed = await customer.until(video_id, ENDED, seconds=PATIENCE_SECONDS)
    refund = ("job", "refund", video_id, "--actor", "ann", *REASON)

    part = operator.answer(*refund, "--amount", "7.5")
    rest = operator.answer(*refund)
    usage = await customer.get("/v1/usage")
    verified = operator.run("ledger", "verify", "--json")

    assert data_of(completed)["status"] == "completed"
    assert (part["amount_micros"], rest["amount_micros"]) == (7_500_000, 12_500_000)
    summary = usage["summary"]
    assert (summary["credits_charged"], summary["credits_refunded"], summary["net_credits"]) == (20, 20, 0)
    assert_told_in_one_line(operator.run(*refund, "--amount", "1"), naming=video_id)
    assert_statement_adds_up(operator, own, video_id)
    assert_audited(operator, own, video_id)
    books = json.loads(verified.stdout)
    assert books["findings"] == []
    assert books["checked_count"] > 0


def assert_statement_adds_up(operator: Operator, own: Account, video_id: str) -> None:
    statement = ("statement", own.account_id)
    lines = list(csv.DictReader(io.StringIO(operator.run(*statement, "--format", "csv").stdout)))
    assert [line["kind"] for line in lines] == ["grant", "hold", "capture", "refund", "refund"]
    assert [line["version"] for line in lines] == ["1", "2", "3", "4", "5"]
    assert [line["available"] for line in lines] == ["100", "80", "80", "87.5", "100"]
    assert [line["held"] for line in lines] == ["0", "20", "0", "0", "0"]
    assert lines[3]["reason"] == "agreed by mail"

    days = ("--from", lines[0]["occurred_at"][:10], "--to", lines[-1]["occurred_at"][:10])
    for_people = operator.run(*statement, *days).stdout.splitlines()
    assert len(for_people) == 1 + len(lines)
    assert sum(video_id in line for line in for_people) == 2
    assert operator.run(*statement, "--from", "2099-01-01", "--format", "json").stdout == "[]\n"


def assert_audited(operator: Operator, own: Account, video_id: str) -> None:
    def actions(subject_id: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = operator.answer("audit", "list", "--subject", subject_id)
        assert {entry["subject_id"] for entry in entries} == {subject_id}
        return entries

    opened = actions(own.account_id)
    assert [entry["action"] for entry in opened] == ["credits.grant", "credits.grant", "account.create"]
    assert {entry["reason"] for entry in opened} == {"reelgate account create"}
    refunds = actions(video_id)
    assert [entry["action"] for entry in refunds] == ["job.refund", "job.refund"]
    assert {(entry["service"], entry["actor"], entry["reason"]) for entry in refunds} == {
        ("jobs", "spiffe://reelgate/operator/local (ann)", "agreed by mail")
    }
    secret = ("secrets", "rotate", own.account_id, "--environment", "live")
    operator.answer(*secret, "--actor", "ann", *REASON)
    rotated = actions(own.account_id)[0]
    assert (rotated["service"], rotated["action"]) == ("webhooks", "signing_secret.rotate")
    assert rotated["details"]["environment"] == "live"
    webhooks = operator.answer("status")["grpc"]["webhooks"]["admin"]
    of_webhooks = operator.answer("audit", "list", "--webhooks", webhooks)
    assert {entry["service"] for entry in of_webhooks} == {"webhooks"}
    newest = operator.run("audit", "list", "--limit", "3").stdout
    assert "signing_secret.rotate" in newest.splitlines()[1]
    assert video_id in newest.splitlines()[2]


async def test_prices_are_set_once_and_listed(operator: Operator, tmp_path: Path) -> None:
    model = ("--model", "imaginary", "--resolution", "720p", "--environment", "live", "--environment", "test")
    price = ("price", "set", "--version", "imaginary-1", *model, *REASON)
    file = tmp_path / "prices.yaml"
    file.write_text("version: imaginary-2\ncredits_per_second: {test: {imaginary: {480p: 0.0175}}}")

    (first,) = operator.answer(*price, "--credits-per-second", "2.5")
    (loaded,) = operator.answer("price", "load", str(file), *REASON)
    (again,) = operator.answer("price", "load", str(file), *REASON)
    listed = operator.answer("price", "list")
    for_people = operator.run("price", "list").stdout

    assert [entry["micros_per_second"] for entry in first["prices"]] == [2_500_000, 2_500_000]
    assert loaded["prices"][0]["micros_per_second"] == 17_500
    assert again == loaded
    assert [version["version"] for version in listed][-2:] == ["imaginary-1", "imaginary-2"]
    assert "0.0175" in for_people
    assert_told_in_one_line(operator.run(*price, "--credits-per-second", "3"), naming="imaginary-1")

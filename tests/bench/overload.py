"""What ten times more creations than can be made do to those that are made, to polls, to the other customers, and to the books.

By itself: `make bench PART=overload`.
"""

import asyncio
import itertools
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import psycopg

from services.edge.settings import EdgeSettings
from tests.bench.load import request
from tests.bench.report import Row
from tests.bench.rig import CREATE_BODY, LOADED_CONNECTIONS, PATH, Rig, running_rig
from tests.bench.storm import Answered, Due, Storm, percentile, storm_apart
from tests.e2e.local_stack import Account, Stack

DATABASE = "jobs_overload_bench"
ACCOUNTS = 12
"""Their keys together may send more than one process can make."""
TIMES = 10
PER_KEY = EdgeSettings().creations_per_second_per_key
SUSTAINED_SECONDS = 4.0
STORM_SECONDS = 10.0
AFTER_SECONDS = 8.0
"""In which it starts, too."""
QUIET_PER_SECOND, POLLS_PER_SECOND = 5.0, 20.0
OTHER_SECONDS_MAX = 1.0
"""An answer of the quiet customer that takes longer is none, for the recovery."""
RULE = ("--jobs-at-once", "100000", "--reason", "bench")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of all that was sent."""

    per_second: float
    """How many a second were to come in the storm."""
    ended_at: float
    """When the last of it was due."""
    storm: Sequence[Answered]
    quiet: Sequence[Answered]
    polls: Sequence[Answered]


async def measure_overload(stack: Stack) -> list[Row]:
    """Measures a jobs api process of its own behind an edge, without a worker: creates alone fill the machine."""
    crowd = [_customer(stack, f"storm {number}") for number in range(ACCOUNTS)]
    quiet = _customer(stack, "quiet")
    async with running_rig(stack, database=DATABASE, creations_per_second_per_key=PER_KEY) as rig:
        sustained = await _sustained(rig, crowd)
        rows = [Row(name="sustained creates/s of this machine", measured=sustained, better="higher")]
        for name, senders in (("many accounts", crowd), ("one account", crowd[:1])):
            found = await _storm(rig, senders, quiet, per_second=TIMES * sustained)
            rows += _rows(f"storm of {name}", found, sustained)
            created = [*found.storm, *found.quiet]
            rows += _books(f"storm of {name}", stack, rig, created, [*crowd, quiet])
    return rows


def _customer(stack: Stack, name: str) -> Account:
    account = stack.create_account(name, credits_each="1000000000")
    stack.answer("account", "rules", account.account_id, *RULE)
    return account


def _sent(senders: Sequence[Account]) -> list[Due]:
    return [
        Due(each.account_id, request("POST", "bench", PATH, key=each.keys["live"], body=CREATE_BODY))
        for each in senders
    ]


async def _sustained(rig: Rig, senders: Sequence[Account]) -> float:
    creates = itertools.cycle(_sent(senders))
    cost = await rig.measure(
        lambda: next(creates).content, connections=LOADED_CONNECTIONS, seconds=SUSTAINED_SECONDS
    )
    assert cost.measured.only_ok, cost.measured.statuses
    return cost.measured.per_second


async def _storm(rig: Rig, senders: Sequence[Account], quiet: Account, *, per_second: float) -> Found:
    [job_id] = await rig.create(quiet, 1)
    poll = Due(quiet.account_id, request("GET", "bench", f"{PATH}/{job_id}", key=quiet.keys["live"]))
    beside = STORM_SECONDS + AFTER_SECONDS
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        storming = asyncio.get_running_loop().run_in_executor(
            apart, storm_apart, rig.edge, _sent(senders), per_second, STORM_SECONDS
        )
        storm, others, polls = await asyncio.gather(
            storming,
            Storm(rig.edge).run(
                itertools.cycle(_sent([quiet])).__next__, per_second=QUIET_PER_SECOND, seconds=beside
            ),
            Storm(rig.edge).run(lambda: poll, per_second=POLLS_PER_SECOND, seconds=beside),
        )
    ended_at = max(each.due_at for each in storm)
    return Found(per_second=per_second, ended_at=ended_at, storm=storm, quiet=others, polls=polls)


def _rows(name: str, found: Found, sustained: float) -> list[Row]:
    accepted = [each for each in found.storm if each.status == 200]
    refused = [each for each in found.storm if each.status != 200]
    told = [each for each in refused if each.status in {429, 503} and each.retry_after]
    during = [each for each in found.quiet if each.due_at < found.ended_at]
    polls = [each for each in found.polls if each.due_at < found.ended_at]

    def row(what: str, measured: float, *, must: float | None = None, better: str = "lower") -> Row:
        return Row(name=f"{name}: {what}", measured=measured, goal=must, better=better)

    return [
        row("creates sent/s", len(found.storm) / STORM_SECONDS, must=0.9 * found.per_second, better="higher"),
        row("sent later than due, p99, s", _late(found.storm)),
        row("accepted/s / sustained", len(accepted) / STORM_SECONDS / sustained, better="higher"),
        row("p99 of accepted creates, s", percentile(accepted, 0.99), must=1.0),
        row("refused, %", _percent(len(refused), found.storm)),
        row("of them with 503 or 429 and Retry-After, %", _percent(len(told), refused), must=100, better="higher"),
        row("of them with 503, %", _percent(sum(each.status == 503 for each in refused), refused), better="higher"),
        row("p50 of refusals, s", percentile(refused, 0.5)),
        row("p99 of refusals, s", percentile(refused, 0.99), must=1.0),
        row("polls answered, %", _percent(sum(each.status == 200 for each in polls), polls), must=100, better="higher"),
        row("p99 of polls, s", percentile(polls, 0.99), must=1.0),
        row(
            "creates of a quiet account accepted, %",
            _percent(sum(each.status == 200 for each in during), during),
            must=95, better="higher",
        ),
        row("recovery after its end, s", _recovery(found), must=5.0),
    ]  # fmt: skip


def _late(answers: Sequence[Answered]) -> float:
    found = sorted(each.late_seconds for each in answers)
    return found[int(0.99 * (len(found) - 1))]


def _percent(count: int, of: Sequence[Answered]) -> float:
    return 100 * count / len(of) if of else 100.0


def _recovery(found: Found) -> float:
    """Returns how long after the end of the storm the last create of the quiet customer was refused or slow."""
    bad = [
        each.due_at - found.ended_at
        for each in found.quiet
        if each.due_at >= found.ended_at and (each.status != 200 or each.seconds > OTHER_SECONDS_MAX)
    ]
    return max(bad, default=0.0)


def _books(
    name: str, stack: Stack, rig: Rig, created: Sequence[Answered], accounts: Sequence[Account]
) -> list[Row]:
    """Compares what customers were told with what is stored and set aside."""
    told = {json.loads(each.body)["data"]["id"] for each in created if each.status == 200}
    owners = [each.account_id for each in accounts]
    with psycopg.connect(rig.database_url) as connection:
        jobs: dict[str, int] = dict(connection.execute("SELECT id, reserved_micros FROM jobs").fetchall())
    with psycopg.connect(stack.cluster().url("billing")) as connection:
        held: dict[str, int] = dict(
            connection.execute(
                "SELECT hold_id, amount_micros FROM holds WHERE account_id = ANY (%s) AND resolved_at IS NULL",
                (owners,),
            ).fetchall()
        )
        [(balance,)] = connection.execute(
            "SELECT sum(held_micros) FROM balances WHERE account_id = ANY (%s)", (owners,)
        ).fetchall()
    wrong = sum(held.get(job_id) != micros for job_id, micros in jobs.items()) + len(
        held.keys() - jobs.keys()
    )
    found = {
        "accepted and not stored": len(told - jobs.keys()),
        "jobs without their hold": wrong,
        "micro-credits set aside that no hold explains": abs(int(balance) - sum(held.values())),
    }
    return [
        Row(name=f"{name}: {what}", measured=count, goal=0, better="lower") for what, count in found.items()
    ]

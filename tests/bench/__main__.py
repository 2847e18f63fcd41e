"""Measures the whole system and reports; goals that are missed are shown, not raised. Takes a few minutes."""

import asyncio
import time
from pathlib import Path

import psutil

from tests.bench.api import measure_api
from tests.bench.callbacks import measure_callbacks
from tests.bench.hostile import measure_hostile
from tests.bench.ledger import measure_ledger
from tests.bench.limits import measure_limits
from tests.bench.months import measure_months
from tests.bench.mutual_tls import measure_mutual_tls
from tests.bench.report import Row, publish
from tests.bench.telemetry import measure_telemetry
from tests.bench.usage import measure_usage
from tests.bench.waiting import measure_waiting
from tests.bench.walk import measure_walk
from tests.bench.webhooks import measure_webhooks
from tests.e2e.local_stack import Stack, running_stack

REPORT = Path("build/bench.json")
SETTLE_SECONDS = 3.0
CREDITS = "1000000000"
JOBS_AT_ONCE = "10000"
"""What is measured is the whole walk, not the wait for a place."""


def main() -> None:
    started = time.monotonic()
    with running_stack("--simulator-mode", "instant") as stack:
        ready_seconds = time.monotonic() - started
        time.sleep(SETTLE_SECONDS)
        rows = [
            Row(name="up to ready, from an empty folder, s", measured=ready_seconds, goal=8, better="lower"),
            Row(name="memory of the idle stack, MiB", measured=_memory_mib(stack), goal=None, better="lower"),
        ]
        account = stack.create_account("bench", credits_each=CREDITS)
        stack.answer(
            "account", "rules", account.account_id, "--jobs-at-once", JOBS_AT_ONCE, "--reason", "bench"
        )
        rows += asyncio.run(measure_api(stack, account))
        rows += asyncio.run(measure_walk(stack, account))
        rows += asyncio.run(measure_callbacks(stack, account))
        rows += asyncio.run(measure_ledger(stack))
        rows += asyncio.run(measure_mutual_tls(stack, account))
        rows += asyncio.run(measure_telemetry())
        rows += asyncio.run(measure_webhooks(stack))
        rows += asyncio.run(measure_usage(stack))
        rows += asyncio.run(measure_months(stack.cluster()))
        rows += asyncio.run(measure_waiting(stack))
        rows += asyncio.run(measure_limits(stack))
        rows += asyncio.run(measure_hostile(stack))
    took = time.monotonic() - started
    rows.append(Row(name="the whole bench, s", measured=took, goal=540, better="lower"))
    publish(rows, file=REPORT)


def _memory_mib(stack: Stack) -> float:
    """Returns the memory that is the stack's alone or its share of what is shared, supervisor left out."""
    total = 0
    for process in stack.status()["processes"]:
        parent = psutil.Process(process["pid"])
        total += sum(each.memory_full_info().pss for each in (parent, *parent.children(recursive=True)))
    return total / 2**20


if __name__ == "__main__":
    main()

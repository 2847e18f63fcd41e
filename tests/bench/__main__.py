"""Measures the whole system, or some parts of it, and reports; goals that are missed are shown, not raised.

A part that breaks takes none of the others with it.

`python -m tests.bench [PART,...]`: without a PART all but ONLY_BY_NAME, which takes less than 15 minutes.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.parts import PARTS, START, Bench, UnknownPartError, chosen
from tests.bench.report import Row, publish
from tests.bench.startup import measure_start
from tests.bench.yardstick import judged, running_yardstick
from tests.e2e.local_stack import running_stack

log = logging.getLogger(__name__)

REPORT = Path("build/bench.json")
CREDITS = "1000000000"
JOBS_AT_ONCE = "10000"
"""What is measured is the whole walk, not the wait for a place."""
ALL_SECONDS = 900


def main() -> None:
    started = time.monotonic()
    try:
        names = chosen(",".join(sys.argv[1:]))
    except UnknownPartError as error:
        sys.exit(str(error))
    rows = measure_start() if START in names else []
    parts = [name for name in names if name != START]
    broken: list[str] = []
    if parts:
        rows += asyncio.run(_measure(parts, broken=broken))
    if names == chosen(""):
        took = time.monotonic() - started
        rows.append(Row(name="the whole bench, s", measured=took, goal=ALL_SECONDS, better="lower"))
    publish(rows, file=REPORT)
    if broken:
        sys.exit(f"not measured, because it broke: {', '.join(broken)}")


async def _measure(parts: Sequence[str], *, broken: list[str]) -> list[Row]:
    """Runs the parts on one stack. Before and after each of them the echo says what the machine is fit for.

    The name of a part that breaks is added to `broken`.
    """
    rows: list[Row] = []
    with running_stack("--simulator-mode", "instant") as stack:
        account = stack.create_account("bench", credits_each=CREDITS)
        rule = ("--jobs-at-once", JOBS_AT_ONCE, "--reason", "bench")
        stack.answer("account", "rules", account.account_id, *rule)
        async with running_yardstick(stack) as yardstick:
            bench = Bench(stack=stack, account=account, yardstick=yardstick)
            await yardstick.measure()
            before = await yardstick.measure()
            for name in parts:
                try:
                    found = await PARTS[name](bench)
                except Exception:
                    log.exception("part=%s broke", name)
                    broken.append(name)
                    continue
                after = await yardstick.measure()
                rows += judged(found, (before, after))
                before = after
    return rows


if __name__ == "__main__":
    main()

"""How fast polls are and what they cost, as ratios to the echo: same Envoy, same load, turn by turn."""

import itertools
from collections.abc import Iterator, Sequence
from statistics import median

from tests.bench.cost import cost_rows
from tests.bench.counters import Counters
from tests.bench.load import request
from tests.bench.report import Row
from tests.bench.rig import (
    LOADED_CONNECTIONS,
    LOADED_SECONDS,
    PATH,
    ROUNDS,
    UNLOADED_SECONDS,
    Rig,
    Round,
    error_row,
    p50,
    rate_row,
    ratio_row,
    running_rig,
)
from tests.bench.yardstick import ECHO_EDGE, Yardstick, judged
from tests.e2e.local_stack import Account, Stack

KEYS = 3
"""A key may make 100,000 calls a minute, and all together make more."""
JOBS = 24
"""Of each key, polled in turn. Half of them have ended."""
DATABASE = "jobs_poll_bench"
END_HALF = """
UPDATE jobs SET status = 'completed', ended_at = now(), charged_micros = reserved_micros,
    video_url = 'http://media.example/' || id || '.mp4', thumbnail_url = 'http://media.example/' || id || '.jpg',
    output_seconds = 5
WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM jobs) AS each WHERE number % 2 = 0)
"""


async def measure_poll(stack: Stack, account: Account, yardstick: Yardstick) -> list[Row]:
    """Measures polls of jobs of which every other one has ended: customers poll jobs that have not, and their end."""
    async with running_rig(stack, database=DATABASE) as rig:
        accounts = [account, *(stack.create_account(f"poll {number}") for number in range(1, KEYS))]
        created = [(each, await rig.create(each, JOBS)) for each in accounts]
        rig.execute(END_HALF)
        polls = itertools.cycle(
            [
                request("GET", "bench", f"{PATH}/{job_id}", key=owner.keys["live"])
                for owner, ids in created
                for job_id in ids
            ]
        )
        loaded = [
            await _round(rig, yardstick, polls, LOADED_CONNECTIONS, LOADED_SECONDS) for _ in range(ROUNDS)
        ]
        alone = [await _round(rig, yardstick, polls, 1, UNLOADED_SECONDS) for _ in range(ROUNDS)]
        counted = await Counters(stack, rig.databases).rows("poll", lambda: _polled(rig, polls))
    rows = [*_rows(loaded, alone), *counted]
    return judged(rows, [each["echo"] for each in loaded])


async def _round(
    rig: Rig, yardstick: Yardstick, polls: Iterator[bytes], connections: int, seconds: float
) -> Round:
    return {
        "echo": await yardstick.measure(connections=connections, seconds=seconds),
        "poll": await rig.measure(polls.__next__, connections=connections, seconds=seconds),
    }


async def _polled(rig: Rig, polls: Iterator[bytes]) -> int:
    cost = await rig.measure(polls.__next__, connections=LOADED_CONNECTIONS, seconds=LOADED_SECONDS)
    return len(cost.measured.latencies)


def _rows(loaded: Sequence[Round], alone: Sequence[Round]) -> list[Row]:
    echo_p50 = median(p50(each["echo"]) for each in alone) * 1000
    return [
        rate_row("echo", loaded),
        rate_row("poll", loaded),
        error_row("poll", [each["poll"] for each in loaded]),
        Row(name="echo p50 unloaded, ms", measured=echo_p50, better="lower"),
        ratio_row(
            "poll: server CPU / echo's",
            lambda each: each["poll"].server_microseconds / each["echo"].server_microseconds,
            loaded, must=2.5, goal=2.1, better="lower",
        ),
        ratio_row(
            "poll rate / echo rate",
            lambda each: each["poll"].measured.per_second / each["echo"].measured.per_second,
            loaded, must=0.42, goal=0.5, better="higher",
        ),
        ratio_row(
            "poll p50 / echo p50, unloaded",
            lambda each: p50(each["poll"]) / p50(each["echo"]),
            alone, must=1.6, goal=1.4, better="lower",
        ),
        ratio_row(
            "Envoy's CPU for a poll / for an echo",
            lambda each: each["poll"].microseconds[ECHO_EDGE] / each["echo"].microseconds[ECHO_EDGE],
            loaded, must=1.25, goal=1.1, better="lower",
        ),
        *cost_rows("echo", [each["echo"].microseconds for each in loaded]),
        *cost_rows("poll", [each["poll"].microseconds for each in loaded]),
    ]  # fmt: skip

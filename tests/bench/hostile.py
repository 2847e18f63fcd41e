"""What a key feels of bodies that are made to cost as much as they can."""

import asyncio
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

from tests.bench.load import Measured, load, request
from tests.bench.report import Row
from tests.e2e.local_stack import OFTEN, Account, Stack

ROUNDS = 3
ROUND_SECONDS = 2.0
HOSTILE_CONNECTIONS = 8
BODY_BYTES = 252 * 1024
VIDEOS = "/v1/videos/generations"
POLL = f"{VIDEOS}/vid_none"
HOSTILE_BODY = json.dumps(
    {
        "model": "mini",
        "input": {"prompt": "waves"},
        "metadata": {"a": [0] * (BODY_BYTES // 2)},
    },
    separators=(",", ":"),
).encode()


async def measure_hostile(stack: Stack) -> list[Row]:
    """Measures polls of a quiet key through the edge, alone and beside 8 connections of hostile creations, turn by turn.

    Hostile are those of a test key, which soon may make no more calls, and of nobody at all.
    """
    hostile, quiet = [
        Account(**await asyncio.to_thread(stack.answer, "account", "create", name, *options))
        for name, options in (("hostile", OFTEN), ("disturbed", OFTEN))
    ]
    edge = stack.status()["edge"].removeprefix("http://")
    polls = request("GET", edge, POLL, key=quiet.keys["live"])
    rows = []
    for name, key in (("a test key", hostile.keys["test"]), ("nobody", "none")):
        attack = request("POST", edge, VIDEOS, key=key, body=HOSTILE_BODY)
        # The attacker's own work is not what is measured.
        with ProcessPoolExecutor(1, get_context("spawn")) as attacker:
            rounds = [await _round(edge, polls, attack, attacker) for _ in range(ROUNDS)]
        ratio = median(beside.percentile(0.95) / alone.percentile(0.95) for alone, beside, _ in rounds)
        rows += [
            Row(
                name=f"p95 of a quiet key beside hostile bodies of {name} / alone",
                measured=ratio,
                goal=2,
                better="lower",
            ),
            Row(
                name=f"hostile bodies of {name} refused, 1/s",
                measured=median(refused.per_second for _, _, refused in rounds),
                goal=None,
                better="higher",
            ),
        ]
    return rows


async def _round(
    edge: str, polls: bytes, attack: bytes, attacker: ProcessPoolExecutor
) -> tuple[Measured, Measured, Measured]:
    await asyncio.get_running_loop().run_in_executor(attacker, _started)
    alone = await load(edge, lambda: polls, connections=1, seconds=ROUND_SECONDS)
    beside, refused = await asyncio.gather(
        load(edge, lambda: polls, connections=1, seconds=ROUND_SECONDS),
        asyncio.get_running_loop().run_in_executor(attacker, _attack, edge, attack),
    )
    assert 200 not in refused.statuses
    return alone, beside, refused


def _started() -> None:
    """Returns once there is a process that can attack."""


def _attack(edge: str, attack: bytes) -> Measured:
    return asyncio.run(load(edge, lambda: attack, connections=HOSTILE_CONNECTIONS, seconds=ROUND_SECONDS))

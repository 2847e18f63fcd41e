"""Whole jobs for minutes at a steady rate: whether memory stays, errors stay away, and the books agree at the end.

`make soak MINUTES=10`.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil

from tests.bench.report import Row, publish
from tests.bench.walk import Receiver, receiving
from tests.e2e.local_stack import Account, Stack, running_stack

REPORT = Path("build/soak.json")
MINUTES = 10.0
JOBS_PER_SECOND = 10.0
POLLS_PER_SECOND = 50.0
WARM_SECONDS = 60.0
"""In which caches and pools fill. Growth is counted from its end."""
SAMPLE_SECONDS = 5.0
END_SECONDS = 120.0
GROWTH_SHARE_MAX, GROWTH_MIB_MAX = 1.1, 8.0
"""A process that grew by less than either is flat: memory that is used comes and goes."""
CREDITS = "1000000000"
JOBS_AT_ONCE = "10000"
CREATE_PATH = "/v1/videos/generations"


class Customer:
    """Creates jobs, polls them, and hears of their ends."""

    def __init__(self, client: aiohttp.ClientSession, receiver: Receiver) -> None:
        self._client = client
        self._receiver = receiver
        self._open: list[str] = []
        self.created: set[str] = set()
        self.statuses: Counter[int | str] = Counter()

    async def create(self) -> None:
        body = {
            "model": "mini",
            "callback_url": self._receiver.url,
            "input": {"prompt": "a boat", "duration": 4, "resolution": "480p"},
        }
        answer = await self._send("POST", CREATE_PATH, json.dumps(body))
        if answer is not None:
            job_id: str = answer["data"]["id"]
            self.created.add(job_id)
            self._open.append(job_id)

    async def poll(self) -> None:
        while self._open and self._open[0] in self._receiver.announced:
            self._open.pop(0)
        if self._open:
            await self._send("GET", f"{CREATE_PATH}/{self._open[-1]}")

    async def _send(
        self, method: str, path: str, body: str | None = None
    ) -> dict[str, dict[str, str]] | None:
        try:
            async with self._client.request(method, path, data=body) as answer:
                self.statuses[answer.status] += 1
                found: dict[str, dict[str, str]] = await answer.json()
                return found if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError) as error:
            self.statuses[type(error).__name__] += 1
            return None


async def measure_soak(stack: Stack, account: Account, *, minutes: float) -> list[Row]:
    """Measures a whole stack with the instant simulator."""
    headers = {"Authorization": f"Bearer {account.keys['live']}"}
    async with receiving() as receiver, aiohttp.ClientSession(stack.edge, headers=headers) as client:
        customer = Customer(client, receiver)
        seconds = WARM_SECONDS + 60 * minutes
        async with asyncio.TaskGroup() as group:
            group.create_task(_steadily(customer.create, per_second=JOBS_PER_SECOND, seconds=seconds))
            group.create_task(_steadily(customer.poll, per_second=POLLS_PER_SECOND, seconds=seconds))
            samples = await _sampled(await asyncio.to_thread(_process_ids, stack), seconds=seconds)
        unannounced = await _unannounced(customer, receiver)
    verified = await asyncio.to_thread(stack.run, "ledger", "verify")
    return [
        *_memory_rows(samples),
        Row(name="soak: jobs created", measured=len(customer.created), better="higher"),
        Row(
            name="soak: answers other than 200", measured=_failures(customer.statuses), goal=0, better="lower"
        ),
        Row(name="soak: jobs whose end was not announced", measured=unannounced, goal=0, better="lower"),
        Row(name="soak: books that do not agree", measured=verified.returncode, goal=0, better="lower"),
    ]


async def _steadily(
    call: Callable[[], Coroutine[None, None, None]], *, per_second: float, seconds: float
) -> None:
    """Calls at this rate, whether the calls before are done or not. Returns when all are."""
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(round(seconds * per_second)):
            await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
            group.create_task(call())


async def _sampled(ids: Mapping[str, int], *, seconds: float) -> list[Mapping[str, float]]:
    """Returns what each process held, every SAMPLE_SECONDS after WARM_SECONDS."""
    started = time.monotonic()
    samples: list[Mapping[str, float]] = []
    await asyncio.sleep(WARM_SECONDS)
    while time.monotonic() - started < seconds:
        samples.append(await asyncio.to_thread(memory_mib, ids))
        await asyncio.sleep(SAMPLE_SECONDS)
    return samples


async def _unannounced(customer: Customer, receiver: Receiver) -> int:
    until = time.monotonic() + END_SECONDS
    while customer.created - receiver.announced.keys() and time.monotonic() < until:  # noqa: ASYNC110  a deadline
        await asyncio.sleep(0.5)
    return len(customer.created - receiver.announced.keys())


def _failures(statuses: Counter[int | str]) -> int:
    return statuses.total() - statuses[200]


def _memory_rows(samples: Sequence[Mapping[str, float]]) -> list[Row]:
    """Returns what each process held in the first and the last fifth, and how many grew."""
    fifth = max(1, len(samples) // 5)
    rows, grown = [], 0
    for name in samples[0]:
        start, end = (
            sum(each[name] for each in part) / len(part) for part in (samples[:fifth], samples[-fifth:])
        )
        grown += end > max(GROWTH_SHARE_MAX * start, start + GROWTH_MIB_MAX)
        rows += [
            Row(name=f"soak: {name} at the start, PSS MiB", measured=start, better="lower"),
            Row(name=f"soak: {name} at the end, PSS MiB", measured=end, better="lower"),
        ]
    return [*rows, Row(name="soak: processes whose memory grew", measured=grown, goal=0, better="lower")]


def _process_ids(stack: Stack) -> dict[str, int]:
    return {each["name"]: each["pid"] for each in stack.status()["processes"]}


def memory_mib(ids: Mapping[str, int]) -> dict[str, float]:
    """Returns the memory of each process, with all that it started: what is its alone, and its share of the rest."""
    found: dict[str, float] = {}
    for name, process_id in ids.items():
        parent = psutil.Process(process_id)
        held = 0
        for each in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += each.memory_full_info().pss
        found[name] = held / 2**20
    return found


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with running_stack("--simulator-mode", "instant") as stack:
        account = stack.create_account("soak", credits_each=CREDITS)
        stack.answer(
            "account", "rules", account.account_id, "--jobs-at-once", JOBS_AT_ONCE, "--reason", "soak"
        )
        publish(asyncio.run(measure_soak(stack, account, minutes=minutes)), file=REPORT)


if __name__ == "__main__":
    main()

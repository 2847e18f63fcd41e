"""How long a stack takes to start, and what it holds while nothing happens."""

import time

import psutil

from tests.bench.report import Row
from tests.e2e.local_stack import Stack, reelgate, running_stack
from tests.patience import PATIENCE_SECONDS

SETTLE_SECONDS = 3.0


def measure_start() -> list[Row]:
    """Starts a stack of its own, lets it rest, and starts it once more on the same folder."""
    started = time.monotonic()
    with running_stack() as stack:
        empty_seconds = time.monotonic() - started
        time.sleep(SETTLE_SECONDS)
        memory = _memory_mib(stack)
        folder = ("--data", str(stack.folder))
        assert reelgate("down", *folder).returncode == 0
        started = time.monotonic()
        again = reelgate("up", "--detach", "--port", "0", *folder, timeout_seconds=PATIENCE_SECONDS)
        again_seconds = time.monotonic() - started
        assert again.returncode == 0, again.stderr
    return [
        Row(name="up to ready, from an empty folder, s", measured=empty_seconds, goal=6, better="lower"),
        Row(name="up to ready, again, s", measured=again_seconds, goal=4, better="lower"),
        Row(name="memory of the idle stack, MiB", measured=memory, must=380, goal=300, better="lower"),
    ]


def _memory_mib(stack: Stack) -> float:
    """Returns the memory that is the stack's alone or its share of what is shared, supervisor left out."""
    total = 0
    for process in stack.status()["processes"]:
        parent = psutil.Process(process["pid"])
        total += sum(each.memory_full_info().pss for each in (parent, *parent.children(recursive=True)))
    return total / 2**20

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from services.devstack.identity import Identity, identity_of, is_alive, stop_leftovers
from tests.patience import PATIENCE_SECONDS


def until(condition: Callable[[], bool]) -> bool:
    """Waits for a condition, at most PATIENCE_SECONDS. Returns whether it came true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_leftovers_and_what_they_started_are_stopped() -> None:
    with started("sh", "-c", "sleep 60 & echo $!; wait") as process:
        assert process.stdout is not None
        sleeper = identity_of(int(process.stdout.readline()))
        left = identity_of(process.pid)

        count = stop_leftovers([left])

        assert count == 1
        assert not is_alive(left)
        assert until(lambda: not is_alive(sleeper))


@pytest.mark.parametrize("seconds", [-60.0, 60.0])
def test_a_stranger_with_the_same_pid_is_spared(seconds: float) -> None:
    with started("sleep", "60") as process:
        identity = identity_of(process.pid)

        count = stop_leftovers([Identity(identity.pid, identity.started + seconds)])

        assert count == 0
        assert is_alive(identity)


def test_a_process_that_has_ended_but_is_not_collected_is_not_alive() -> None:
    with started("true") as process:
        identity = identity_of(process.pid)

        assert until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert not is_alive(identity)

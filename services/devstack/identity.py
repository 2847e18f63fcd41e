"""Identifies a process by pid and start time, because the system reuses pids."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

START_TOLERANCE_SECONDS = 2.0
"""Start times are relative to the boot time, which changes when the clock is set."""
TERMINATE_SECONDS = 5.0
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Identity:
    """A pid, and when its process began in seconds since 1970."""

    pid: int
    started: float


def identity_of(pid: int) -> Identity:
    """Returns the identity of a running process of ours."""
    return Identity(pid, psutil.Process(pid).create_time())


def is_alive(identity: Identity) -> bool:
    """Returns whether exactly this process is still running."""
    try:
        process = psutil.Process(identity.pid)
        same = abs(process.create_time() - identity.started) < START_TOLERANCE_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop_leftovers(identities: Sequence[Identity]) -> int:
    """Stops the processes that are still running, and their children. Returns how many there were.

    They get SIGTERM first; what is left after TERMINATE_SECONDS is killed.
    """
    found = [identity for identity in identities if is_alive(identity)]
    for identity in found:
        with suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGTERM)
    _wait_until_gone(found)
    for identity in found:
        kill_group(identity.pid)
    _wait_until_gone(found)
    return len(found)


def kill_group(leader_pid: int) -> None:
    """Kills a process that leads its group, and everything left in that group."""
    with suppress(ProcessLookupError):
        os.killpg(leader_pid, signal.SIGKILL)


def _wait_until_gone(identities: Sequence[Identity]) -> None:
    # Not psutil's wait: without an init process that reaps orphans it waits for zombies.
    deadline = time.monotonic() + TERMINATE_SECONDS
    while any(map(is_alive, identities)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)

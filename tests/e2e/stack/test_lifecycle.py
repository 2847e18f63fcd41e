"""What starting, watching, breaking and stopping a stack does."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from services.devstack.identity import Identity, is_alive
from tests.e2e.local_stack import Stack, reelgate, running_stack
from tests.patience import PATIENCE_SECONDS

NAMES = {"postgres", "simulator", "edge", "billing", "webhooks", "jobs-api", "jobs-worker", "mcp"}


def process(status: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in status["processes"] if entry["name"] == name)
    return found


def identities(status: dict[str, Any]) -> list[Identity]:
    return [
        Identity(entry["pid"], entry["started"]) for entry in (*status["processes"], status["supervisor"])
    ]


def demo_keys(announcement: str) -> list[str]:
    return re.findall(r"^  \w+ key  (\S+)$", announcement, re.MULTILINE)


def seconds_until_end(status: dict[str, Any]) -> dict[str, float]:
    """Watches the processes of a stack until all have ended. Returns after how many seconds each was seen to."""
    left = dict(zip((entry["name"] for entry in status["processes"]), identities(status), strict=False))
    ended: dict[str, float] = {}
    started = time.monotonic()
    while left and time.monotonic() - started < PATIENCE_SECONDS:
        now = time.monotonic() - started
        ended |= {name: now for name, identity in left.items() if not is_alive(identity)}
        left = {name: identity for name, identity in left.items() if name not in ended}
        time.sleep(0.01)
    assert not left, f"still alive: {sorted(left)}"
    return ended


@contextmanager
def foreground_stack(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Starts a stack in the foreground. Yields its supervisor and what it announced."""
    command = [sys.executable, "-m", "services.cli", "up", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            assert supervisor.stdout is not None
            lines: list[str] = []
            while not lines or not lines[-1].startswith("Stop "):
                lines.append(supervisor.stdout.readline())
                assert lines[-1], "it ended"
            yield supervisor, "".join(lines)
        finally:
            supervisor.terminate()


def test_status_tells_where_everything_is(stack: Stack) -> None:
    status = stack.status()

    assert status["ready"] is True
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", status["edge"])
    assert {name: set(ports) for name, ports in status["grpc"].items()} == {
        "billing": {"public", "internal", "admin"},
        "webhooks": {"public", "internal", "admin"},
        "jobs": {"public", "admin"},
    }
    assert set(status["database"]) == {"billing", "webhooks", "jobs"}
    assert {entry["name"] for entry in status["processes"]} == NAMES
    assert all(psutil.pid_exists(entry["pid"]) for entry in status["processes"])
    assert {type(entry[name]) for entry in status["processes"] for name in ("port", "restarts")} == {int}


def test_status_for_people_names_the_processes_and_succeeds(stack: Stack) -> None:
    shown = stack.run("status")

    assert shown.returncode == 0
    assert all(name in shown.stdout for name in NAMES)


def test_a_second_stack_on_the_same_folder_is_refused(stack: Stack) -> None:
    for options in ((), ("--detach",)):
        refused = stack.run("up", "--port", "0", *options)

        assert refused.returncode == 1
        assert refused.stderr.startswith(f"Error: A stack already runs on {stack.folder} (process ")
        assert refused.stderr.count("\n") == 1
    assert stack.status()["ready"] is True


def test_a_taken_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        refused = reelgate("up", "--detach", "--port", str(port), "--data", str(tmp_path))

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: Port {port} is taken.")
    assert "--port" in refused.stderr


@pytest.mark.parametrize("name", ["postgres", "edge", "webhooks"])
def test_a_killed_process_is_started_again_on_its_port(stack: Stack, name: str) -> None:
    before = process(stack.status(), name)

    os.kill(before["pid"], signal.SIGKILL)

    deadline = time.monotonic() + PATIENCE_SECONDS
    while (after := process(stack.status(), name))["pid"] == before["pid"]:
        assert time.monotonic() < deadline, "it was not started again"
    assert after["port"] == before["port"]
    assert after["restarts"] == before["restarts"] + 1
    assert process(stack.until_ready(), name)["ready"] is True


def test_a_start_after_a_killed_supervisor_recovers_and_ctrl_c_stops_it_in_order() -> None:
    with running_stack("--simulator-mode", "instant") as stack:
        before = stack.status()
        migrations = stack.folder / "logs" / "migrations.log"
        assert migrations.read_text()
        os.kill(before["supervisor"]["pid"], signal.SIGKILL)

        with foreground_stack(stack.folder) as (supervisor, announcement):
            assert demo_keys(announcement) == demo_keys(stack.announcement)
            assert not any(map(is_alive, identities(before)))
            assert migrations.read_text() == "", "they ran again, with nothing to do"
            status = stack.status()
            supervisor.send_signal(signal.SIGINT)
            ended = seconds_until_end(status)
            assert supervisor.wait(PATIENCE_SECONDS) == 0

        services = [ended[name] for name in ("jobs-api", "jobs-worker", "webhooks", "billing")]
        assert ended["edge"] <= min(services)
        assert max(services) <= ended["simulator"] <= ended["postgres"]
        assert stack.run("status").returncode == 1


def test_the_database_of_a_stack_is_durable(stack: Stack) -> None:
    stack.until_ready()

    with psycopg.connect(stack.cluster().url()) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")
        }

    assert shown == {"fsync": ("on",), "synchronous_commit": ("on",)}

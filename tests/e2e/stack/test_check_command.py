"""`reelgate check` looks at a running stack with the settings that its processes have."""

import os
import subprocess
import sys

from tests.conftest import KEY_SECRET
from tests.e2e.local_stack import Stack


def test_nothing_is_found_in_a_stack_that_runs(stack: Stack) -> None:
    done = stack.run("check")

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["billing", "webhooks", "jobs"]
    assert all("nothing found in settings, database," in line for line in done.stdout.splitlines())


def test_settings_of_the_environment_come_first_and_a_finding_ends_with_1(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "check", "--data", str(stack.folder)],
        env={
            **os.environ,
            "BILLING_DATABASE_URL": "postgresql://billing@127.0.0.1:1/billing",
            "BILLING_KEY_CHECKSUM_SECRETS": KEY_SECRET,
            "BILLING_PLAINTEXT_INTERNAL": "true",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert line.startswith("billing: database: it cannot be reached: ")


def test_a_service_that_there_is_not_is_a_wrong_command(stack: Stack) -> None:
    done = stack.run("check", "biling")

    assert done.returncode == 2
    assert "choose from billing, webhooks, jobs" in done.stderr

"""Whoever follows a runbook can: its commands succeed on a stack that runs."""

import shlex
from pathlib import Path

import pytest

from services import jobs
from tests.e2e.customer import SMALL, open_customer
from tests.e2e.local_stack import Account, Stack, reelgate
from tests.unit.deploy import runbooks

CATALOGUE = Path(jobs.__file__).parent / "catalogue.yaml"
ENDLESS = {"model": "mini", "input": {"prompt": "[simulate: slow 600] a boat", **SMALL}}
NAMES = {"ROUTE": "ark-pro", "CREDENTIAL": "ark", "KEY": "main", "new.yaml": str(CATALOGUE)}
"""What stands for the names and files of whoever follows a page."""
REPAIRS = {("job", "settle"), ("ledger", "reconcile"), ("ledger", "release")}
"""The page about the ledger says once for all of them that they take a reason."""
COMMANDS = sorted(
    {
        found
        for text in runbooks.pages().values()
        for command in runbooks.commands(text)
        if (found := runbooks.local(command)) is not None
    }
)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_of_a_runbook_succeeds(stack: Stack, account: Account, command: str) -> None:
    words = shlex.split(command)
    if {"JOB", "HOLD"} & set(words):
        async with open_customer(stack.edge, account.keys["test"]) as customer:
            job_id = str((await customer.create(ENDLESS))["id"])
        if "HOLD" in words:
            # What no job needs.
            assert stack.run("job", "settle", job_id, "--as", "failed", "--reason", "tested").returncode == 0
        words = [job_id if word in {"JOB", "HOLD"} else word for word in words]

    words = [NAMES.get(word, word) for word in words]
    if tuple(words[:2]) in REPAIRS and "--reason" not in words:
        words += ["--reason", "tested"]

    # A file needs no stack.
    done = reelgate(*words) if words[0] == "catalogue" else stack.run(*words)

    assert done.returncode == 0, done.stderr

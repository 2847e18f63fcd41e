"""A job that does not move, as the operator of a stack meets it."""

import subprocess

import psycopg

from tests.e2e.customer import SMALL, open_customer
from tests.e2e.local_stack import Stack

ENDLESS = {"model": "mini", "input": {"prompt": "[simulate: slow 600] a boat", **SMALL}}
STALL = """
    UPDATE work SET claim_count = 7, last_error = 'check: TypeError: planted', lease_no = lease_no + 1,
        due_at = now() + interval '1 h', stalled_since = now() - interval '1 h'
    WHERE job_id = %s
"""


async def test_status_counts_jobs_that_do_not_move_and_fails_when_asked_to_check(stack: Stack) -> None:
    account = stack.create_account()
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        job_id = str((await customer.create(ENDLESS))["id"])
    assert status(stack, "--check").returncode == 0
    with psycopg.connect(stack.status()["database"]["jobs"], autocommit=True) as connection:
        assert connection.execute(STALL, (job_id,)).rowcount == 1

    checked, shown = status(stack, "--check"), status(stack)
    listed = stack.answer("job", "list", "--stalled")

    assert (checked.returncode, shown.returncode) == (1, 0)
    line = f"Jobs that do not move: 1, last error check: TypeError: planted ({job_id})"
    assert line in checked.stdout
    assert line in shown.stdout
    assert [(job["job_id"], job["claim_count"]) for job in listed] == [(job_id, 7)]
    assert stack.run("job", "recheck", job_id, "--reason", "mended").returncode == 0
    assert status(stack, "--check").returncode == 0


def status(stack: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    return stack.run("status", *options)

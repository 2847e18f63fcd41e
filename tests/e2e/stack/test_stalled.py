"""Jobs that do not move and events that are refused, as the operator of a stack meets them."""

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
REFUSED = """
    INSERT INTO outbox (event_id, job_id, account_id, environment, contract, type, sequence, target_url, body,
        occurred_at, due_at, refusal)
    VALUES ('evt_planted', 'vid_planted', 'acct_1', 'live', 'nextapi', 't', 1, '', '', now(), now() + interval '1 h',
        'INVALID_FIELD: planted')
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


async def test_status_counts_refused_events_while_there_are_any(stack: Stack) -> None:
    assert "Events that webhooks refuses" not in status(stack).stdout
    with psycopg.connect(stack.status()["database"]["jobs"], autocommit=True) as connection:
        connection.execute(REFUSED)

    assert "Events that webhooks refuses: 1; see `reelgate event list`" in status(stack).stdout
    [event] = stack.answer("event", "list")
    assert (event["event_id"], event["refusal"]) == ("evt_planted", "INVALID_FIELD: planted")
    assert stack.answer("event", "retry", "evt_planted", "--reason", "mended") == {"retried_count": 1}
    with psycopg.connect(stack.status()["database"]["jobs"], autocommit=True) as connection:
        connection.execute("DELETE FROM outbox WHERE event_id = 'evt_planted'")
    assert "Events that webhooks refuses" not in status(stack).stdout


def status(stack: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    return stack.run("status", *options)

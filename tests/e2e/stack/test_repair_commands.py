"""The commands by which operators put jobs and holds right, on a running stack."""

import json

from tests.e2e.customer import SMALL, VIDEOS, data_of, open_customer
from tests.e2e.local_stack import OFTEN, Account, Stack

REASON = ("--reason", "found by the verifier")
ENDLESS = {"model": "mini", "input": {"prompt": "[simulate: slow 600] a boat", **SMALL}}
CREDITS_EACH = 20


async def test_a_job_is_settled_its_hold_can_be_released_no_more_and_all_agrees(stack: Stack) -> None:
    own = Account(**stack.answer("account", "create", "repaired", "--credits", "100", *OFTEN))
    async with open_customer(stack.edge, own.keys["live"]) as customer:
        job_id = data_of(await customer.send("POST", VIDEOS, ENDLESS))["id"]

        settled = stack.answer("job", "settle", job_id, "--as", "failed", *REASON)
        shown = data_of(await customer.send("GET", f"{VIDEOS}/{job_id}"))
        released = stack.answer("ledger", "release", job_id, *REASON)
        reconciled = stack.run("ledger", "reconcile", "--json", *REASON)

    assert (settled["job_after"], settled["hold_after"]) == ("failed", "released")
    assert settled["given_back_micros"] == CREDITS_EACH * 1_000_000
    assert shown["status"] == "failed"
    assert released == {"hold_id": job_id, "given_back_micros": 0}
    assert reconciled.returncode == 0
    assert [job for job in json.loads(reconciled.stdout)["jobs"] if job["job_id"] == job_id] == []


async def test_what_is_not_there_is_refused_in_words(stack: Stack) -> None:
    settled = stack.run("job", "settle", "vid_unknown", "--as", "failed", *REASON)
    released = stack.run("ledger", "release", "vid_unknown", *REASON)

    assert settled.returncode == released.returncode == 1
    assert "vid_unknown" in settled.stderr
    assert "There is no hold vid_unknown." in released.stderr

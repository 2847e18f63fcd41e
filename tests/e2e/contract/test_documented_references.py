"""The service takes together what the OpenAPI documents say goes together, and nothing else."""

import pytest

from tests.documented_references import TOGETHER
from tests.e2e.customer import open_customer
from tests.e2e.local_stack import Account, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_service_takes_the_references_that_the_document_allows(
    stack: Stack, account: Account
) -> None:
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        statuses = {}
        for what, (fields, _) in TOGETHER.items():
            body = {"model": "pro", "input": {"prompt": "waves", **fields}}
            statuses[what] = (await customer.send("POST", "/v1/videos/estimates", body)).status

    assert statuses == {what: 200 if is_allowed else 400 for what, (_, is_allowed) in TOGETHER.items()}

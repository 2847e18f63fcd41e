from collections.abc import AsyncIterator

import pytest

from tests.conftest import MakeDatabase
from tests.integration.billing.running import Billing, running_billing


@pytest.fixture
async def billing(make_database: MakeDatabase) -> AsyncIterator[Billing]:
    """A running billing process over a database of its own."""
    async with running_billing(make_database("billing")) as running:
        yield running

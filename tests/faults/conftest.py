"""A stack of its own for what these tests break. Its provider serves ready clips: none of this is about rendering."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.e2e.local_stack import Stack, running_stack
from tests.e2e.receiver import Receiver
from tests.faults.evidence import Books

TASK_SECONDS = "0.5"


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """Whoever kills a process of it waits until all is ready again."""
    with running_stack("--simulator-mode", "instant", "--simulator-latency", TASK_SECONDS) as running:
        yield running


@pytest.fixture(scope="package")
def books(stack: Stack) -> Books:
    """What the services and the provider of the stack have written down."""
    return Books.of(stack)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    """Takes every webhook down at once, whatever else is broken."""
    async with Receiver().listening() as listening:
        yield listening

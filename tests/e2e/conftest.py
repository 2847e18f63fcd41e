"""One stack for all end-to-end tests: every process, the real edge, the simulator that renders."""

from collections.abc import Iterator

import pytest

from tests.e2e.local_stack import Account, Stack, running_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The stack that all tests share. Whoever stops a process of it waits until all is ready again."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="package")
def account(stack: Stack) -> Account:
    """An account with plenty of credits, for tests that look at nothing but their own jobs."""
    return stack.create_account()

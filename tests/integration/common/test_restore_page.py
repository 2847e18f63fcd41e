"""The commands of docs/postgresql.md bring three databases back: to one named moment, or from dumps."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from services.devstack.postgres import Cluster
from tests.conftest import PASSWORD
from tests.drills.nodes import Node
from tests.drills.page import run_beside
from tests.drills.restores import archived_node, empty_node, restored_node

SERVICES = ("billing", "jobs", "webhooks")
BEFORE, AFTER = 30, 20


@pytest.fixture(scope="module")
def node_and_kept() -> Iterator[tuple[Node, Path]]:
    with archived_node() as running:
        yield running


def write(node: Node, numbers: Sequence[int]) -> None:
    """Writes rows of three databases in turn, as a job, its hold and its event."""
    for number in numbers:
        for service in SERVICES:
            node.rows("INSERT INTO written VALUES (%s)", number, database=service)


def written(node: Node) -> dict[str, int]:
    return {service: len(node.rows("SELECT number FROM written", database=service)) for service in SERVICES}


def test_one_moment_is_the_same_in_all_three_databases_and_dumps_restore_elsewhere(
    node_and_kept: tuple[Node, Path],
) -> None:
    node, kept = node_and_kept
    for service in SERVICES:
        Cluster(port=node.port, password=PASSWORD).ensure_database(service)
        node.rows("CREATE TABLE written (number integer)", database=service)
    run_beside(node, "base backup", BACKUP=kept / "base")
    write(node, range(BEFORE))
    run_beside(node, "name the moment")
    write(node, range(AFTER))
    run_beside(node, "dump", DUMPS=kept)
    node.die()

    with restored_node(kept) as restored:
        at_the_moment = written(restored)
    with empty_node(node.folder.parent) as elsewhere:
        run_beside(elsewhere, "restore a dump", DUMPS=kept)
        from_dumps = written(elsewhere)

    assert at_the_moment == dict.fromkeys(SERVICES, BEFORE)
    assert from_dumps == dict.fromkeys(SERVICES, BEFORE + AFTER)

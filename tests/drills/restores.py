"""A node whose WAL is archived, and nodes that are made again from what was kept of it: by the commands of the page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.devstack import postgres
from tests.conftest import free_port
from tests.drills.nodes import Node, node_folder, prepared
from tests.drills.page import archive_settings, run_beside


@contextmanager
def archived_node() -> Iterator[tuple[Node, Path]]:
    """Runs a node, and yields it with a folder of the user of PostgreSQL where backups may stay."""
    with node_folder() as folder:
        kept = _folder(folder / "kept")
        node = prepared(folder, "before", settings=archive_settings(_folder(kept / "archive")))
        node.start()
        try:
            yield node, kept
        finally:
            node.stop()


@contextmanager
def restored_node(kept: Path) -> Iterator[Node]:
    """Runs a node with the state of the moment that the page names, from the base backup and the archive in `kept`."""
    node = Node(name="restored", folder=kept / "restored", port=free_port())
    try:
        run_beside(
            node, "restore to a moment", BACKUP=kept / "base", ARCHIVE=kept / "archive", DATA=node.folder
        )
        node.await_primary()
        yield node
    except AssertionError as error:
        error.add_note(node.folder.with_suffix(".log").read_text())
        raise
    finally:
        with suppress(AssertionError):
            node.run("pg_ctl", "--pgdata", node.folder, "--mode", "fast", "stop")


@contextmanager
def empty_node(folder: Path) -> Iterator[Node]:
    """Runs a node without databases."""
    node = prepared(folder, "elsewhere", settings="")
    node.start()
    try:
        yield node
    finally:
        node.stop()


def _folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    if (user := postgres.process_user()) is not None:
        shutil.chown(path, user)
    return path

"""PostgreSQL nodes that replicate one another, are killed as a machine dies, and are promoted."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from services.devstack import postgres
from tests.conftest import PASSWORD, free_port
from tests.patience import PATIENCE_SECONDS

NAMES = ("one", "two", "three")
REPLICATION_RULE = "host replication all 127.0.0.1/32 scram-sha-256\n"
POLL_SECONDS = 0.05
SETTINGS = """
synchronous_standby_names = 'ANY 1 (one, two, three)'
wal_keep_size = 256MB
"""
"""Every commit waits until one standby has it on disk; a node's own name stands for nobody. A node that comes back finds
what it missed."""


@dataclass(kw_only=True)
class Node:
    """One PostgreSQL server with a data folder of its own."""

    name: str
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def url(self, database: str = postgres.SUPERUSER) -> str:
        """Returns the address of a database on this node, as the superuser."""
        return postgres.Cluster(port=self.port, password=PASSWORD).url(database)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Runs a program of PostgreSQL beside the node, as its user, that must succeed. Returns what it prints."""
        done = subprocess.run(
            [postgres.binary(program), *arguments],
            **postgres.privileges_of(postgres.process_user()),
            env={**os.environ, "PGPASSWORD": PASSWORD},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return str(done.stdout)

    def rows(self, statement: str, *parameters: Any, database: str = postgres.SUPERUSER) -> list[Any]:
        """Returns what a statement finds on this node."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def start(self, *options: str) -> None:
        """Runs the server, and waits until it answers."""
        log = self.folder.with_suffix(".log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*postgres.command(self.folder, port=self.port), "-c", f"cluster_name={self.name}", *options],
                **postgres.privileges_of(postgres.process_user()),
                cwd="/",
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not postgres.is_ready(self.url()):
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Ends the server if it runs, in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(2)
            self._process.wait(PATIENCE_SECONDS)

    def die(self) -> None:
        """Kills the server and all that it started, as a machine that loses its power does."""
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        server.suspend()
        for process in (*server.children(recursive=True), server):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def receiver(self) -> psutil.Process:
        """Returns the process that takes over what the primary writes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (rows := self.rows("SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'")):
            assert time.monotonic() < deadline, f"{self.name} does not stream"
            time.sleep(POLL_SECONDS)
        return psutil.Process(rows[0][0])

    def received(self) -> int:
        """Returns how far the node has taken over what was written, in bytes."""
        [[position]] = self.rows("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')")
        return int(position)

    def promote(self) -> None:
        """Makes a standby the primary. It takes writes afterwards."""
        assert self.rows("SELECT pg_promote(true, 60)") == [(True,)]

    def await_primary(self) -> None:
        """Waits until the server has recovered and takes writes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.rows("SELECT pg_is_in_recovery()") != [(False,)]:
            assert time.monotonic() < deadline, f"{self.name} is still in recovery"
            time.sleep(POLL_SECONDS)

    def follow(self, primary: "Node") -> None:
        """Has a standby take over from another primary than before."""
        address = f"host=127.0.0.1 port={primary.port} user={postgres.SUPERUSER} password={PASSWORD}"
        self.rows(f"ALTER SYSTEM SET primary_conninfo = '{address}'")
        self.rows("SELECT pg_reload_conf()")


def several(nodes: Sequence[Node], database: str, *, role: str, password: str) -> str:
    """Returns the address of a database on whichever node is the primary."""
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    return f"postgresql://{role}:{password}@{hosts}/{database}"


def prepared(folder: Path, name: str, *, settings: str) -> Node:
    """Returns a node with an empty cluster that others may be cloned from. It does not run yet."""
    node = Node(name=name, folder=folder / name, port=free_port())
    postgres.prepare_folder(node.folder, password=PASSWORD)
    # What the local stack marks its folders with is not PostgreSQL's, and not its user's to copy.
    for mark in (".made", ".secured"):
        (node.folder / mark).unlink()
    # In the folder, so that copies of it start with the same.
    usual = "".join(f"{setting} = '{value}'\n" for setting, value in postgres.SETTINGS.items())
    for name_of_file, lines in {"pg_hba.conf": REPLICATION_RULE, "postgresql.conf": usual + settings}.items():
        with (node.folder / name_of_file).open("a") as file:
            file.write(lines)
    return node


def cloned(primary: Node, name: str, *options: str) -> Node:
    """Returns a node with a copy of a running one. It does not run yet."""
    node = Node(name=name, folder=primary.folder.with_name(name), port=free_port())
    node.folder.mkdir(mode=0o700)
    if (user := postgres.process_user()) is not None:
        shutil.chown(node.folder, user)
    node.run(
        "pg_basebackup", "--dbname", primary.url(), "--pgdata", node.folder, "--checkpoint", "fast", *options
    )
    return node


@contextmanager
def node_folder() -> Iterator[Path]:
    """Yields a folder that the user of PostgreSQL may pass, and removes it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="reelgate-nodes-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_nodes() -> Iterator[list[Node]]:
    """Runs a primary and two standbys, one of which must have each commit before it is acknowledged."""
    with node_folder() as folder, ExitStack() as opened:
        primary = prepared(folder, NAMES[0], settings=SETTINGS)
        opened.callback(primary.stop)
        primary.start()
        nodes = [primary]
        for name in NAMES[1:]:
            standby = cloned(primary, name, "--write-recovery-conf")
            opened.callback(standby.stop)
            standby.start()
            standby.receiver()
            nodes.append(standby)
        yield nodes


def fail_over(nodes: Sequence[Node]) -> tuple[Node, Node]:
    """Kills the primary, the first of three nodes, and promotes the standby that is farther. Returns it and the other."""
    primary, *standbys = nodes
    primary.die()
    behind, farther = sorted(standbys, key=Node.received)
    behind.follow(farther)
    farther.promote()
    return farther, behind

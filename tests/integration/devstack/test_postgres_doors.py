"""Who gets at the PostgreSQL of a stack: those with a password, each role at its own database. Older folders too."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from services.devstack import postgres
from services.devstack.errors import StackError
from services.devstack.postgres import Cluster, privileges_of, process_user
from tests.conftest import free_port, running_server
from tests.patience import PATIENCE_SECONDS

PASSWORD = "the-first-password"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="reelgate-test-") as parent:
        Path(parent).chmod(0o711)
        yield Path(parent) / "postgres"


@contextmanager
def running(folder: Path, *, password: str = PASSWORD) -> Iterator[Cluster]:
    postgres.prepare_folder(folder, password=password)
    cluster = Cluster(port=free_port(), password=password)
    with running_server(folder, cluster):
        yield cluster


def _older_folder(folder: Path) -> None:
    """Makes a folder as the release before did: everybody on this machine is its superuser."""
    postgres._make(folder, ())
    (folder / ".made").touch()
    (folder / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")


def _refused(cluster: Cluster, credentials: str) -> bool:
    try:
        psycopg.connect(
            f"postgresql://{credentials}@127.0.0.1:{cluster.port}/postgres",
            connect_timeout=int(PATIENCE_SECONDS),
        ).close()
    except psycopg.OperationalError:
        return True
    return False


def _assert_locked(cluster: Cluster) -> None:
    assert _refused(cluster, "postgres")
    assert _refused(cluster, "postgres:wrong")
    assert _refused(cluster, "nobody:nothing")
    with psycopg.connect(cluster.url()) as connection:
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)
        assert connection.execute(
            "SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE error IS NULL"
        ).fetchall() == [("scram-sha-256",)]


def test_nobody_gets_in_without_the_password(folder: Path) -> None:
    with running(folder) as cluster:
        _assert_locked(cluster)


def test_a_folder_of_the_release_before_asks_for_a_password_and_keeps_what_is_in_it(folder: Path) -> None:
    _older_folder(folder)
    open_to_all = Cluster(port=free_port(), password="any")
    with (
        running_server(folder, open_to_all),
        psycopg.connect(open_to_all.url(), autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    with running(folder) as cluster:
        _assert_locked(cluster)
        with psycopg.connect(cluster.url()) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_password_that_was_lost_is_set_anew(folder: Path) -> None:
    with running(folder):
        pass

    with running(folder, password="the-second-password") as cluster:
        _assert_locked(cluster)
        assert _refused(cluster, f"postgres:{PASSWORD}")


def test_a_service_gets_at_its_own_database_alone(folder: Path) -> None:
    with running(folder) as cluster:
        for name in ("billing", "jobs"):
            for _ in range(2):
                cluster.ensure_service(name, password=f"of-{name}")

        def reaches(role: str, database: str) -> bool:
            url = postgres.role_url(cluster.port, database, role=role, password=f"of-{role}")
            return postgres.is_ready(url)

        assert reaches("billing", "billing")
        assert reaches("jobs", "jobs")
        assert not reaches("jobs", "billing")
        assert not reaches("billing", "jobs")
        with psycopg.connect(cluster.url()) as connection:
            assert connection.execute(
                "SELECT rolname FROM pg_roles WHERE rolcanlogin AND (rolsuper OR rolcreaterole OR rolcreatedb)"
            ).fetchall() == [("postgres",)]


@as_root
def test_a_folder_that_postgres_may_not_enter_is_refused_and_no_mode_is_changed() -> None:
    with tempfile.TemporaryDirectory(prefix="reelgate-test-") as closed:
        data = Path(closed) / "inside"
        data.mkdir(mode=0o700)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (data, *data.parents)]

        with pytest.raises(StackError, match=f"chmod o\\+x {closed}"):
            postgres.prepare_folder(data / "postgres", password=PASSWORD)

        assert [stat.S_IMODE(path.stat().st_mode) for path in (data, *data.parents)] == modes
        assert list(data.iterdir()) == []


@as_root
def test_a_process_of_another_user_has_none_of_our_groups() -> None:
    done = subprocess.run(
        ["/usr/bin/id", "-G"],
        **privileges_of(process_user()),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )

    [group] = done.stdout.split()
    assert int(group) not in os.getgroups()

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.process import run_service
from services.common.settings import ServiceSettings


@asynccontextmanager
async def _never_opened(_settings: ServiceSettings) -> AsyncIterator[None]:
    raise AssertionError
    yield


def _run(*arguments: str, **environment: str) -> int:
    return run_service(
        "billing",
        kind=ServiceSettings,
        processes={"api": ("serve customers", _never_opened)},
        checks_of=lambda _settings: (),
        arguments=arguments,
        environment=environment,
    )


@pytest.mark.parametrize("arguments", [(), ("serve",), ("api", "migrate")])
def test_a_wrong_word_is_answered_with_the_right_ones(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(*arguments)

    assert code == 2
    assert capsys.readouterr().err.splitlines() == [
        "usage: python -m services.billing PROCESS",
        "",
        "  api            serve customers",
        "  migrate        bring the database to the newest version, then end",
        "  wait-migrated  wait until the database has the version that this release needs, then end",
        "  check          look for what will not work, and say what to do",
    ]


def test_every_problem_of_the_settings_is_told_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = _run(
        "api",
        BILLING_TYPO="1",
        BILLING_REFLECTION="maybe",
        BILLING_ADMIN_ADDRESS="here",
        BILLING_CONNECTIONS_MAX="0",
        HOME="/",
    )

    assert code == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "BILLING_ADMIN_ADDRESS",
        "BILLING_CONNECTIONS_MAX",
        "BILLING_DATABASE_URL",
        "BILLING_KEY_CHECKSUM_SECRETS",
        "BILLING_REFLECTION",
        "BILLING_TYPO",
    ]


def test_migrate_needs_the_settings_of_the_database_and_no_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    migrated: list[tuple[str, str, str | None]] = []

    def migrate(url: str, *, service: str, runtime_role: str | None = None) -> int:
        migrated.append((url, service, runtime_role))
        return 1

    monkeypatch.setattr("services.common.postgres.migrate.migrate", migrate)
    runtime, owner = "postgresql://billing@db/billing", "postgresql://billing_owner@db/billing"

    assert _run("migrate", BILLING_ADMIN_ADDRESS="here") == 2
    assert capsys.readouterr().err == "BILLING_DATABASE_URL: required\n"
    assert _run("migrate", BILLING_DATABASE_URL=runtime, BILLING_MIGRATION_DATABASE_URL=owner) == 0
    assert migrated == [(owner, "billing", "billing")]


def test_a_process_leaves_with_all_that_was_written_and_without_being_dismantled() -> None:
    program = """
import atexit, os, sys
from services.common.leave import leave

class Dismantled:
    def __del__(self, write=os.write):
        write(1, b"dismantled")

kept = Dismantled()
atexit.register(print, "registered")
print("written")
leave(3)
"""
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "written\nregistered\n", "")

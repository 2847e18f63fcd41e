"""`check` finds what would not work, one line each, and nothing where all is well."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from services.billing.diagnosis import checks_of as billing_checks
from services.billing.settings import BillingSettings
from services.billing.wiring import open_billing
from services.common.clock import Clock, utc_now
from services.common.diagnosis.findings import Check, Finding, run_checks
from services.common.postgres.migrate import migrate
from services.common.settings import load_settings
from services.devstack.certificates import CERTIFICATE_LIFETIME, ensure_certificates
from services.jobs.diagnosis import checks_of as jobs_checks
from services.jobs.settings import JobsSettings
from services.webhooks.diagnosis import checks_of as webhooks_checks
from services.webhooks.settings import WebhooksSettings
from services.webhooks.wiring import open_webhooks
from tests.conftest import cluster
from tests.fakes.ark_server import ArkServer
from tests.fakes.provider_server import Reply
from tests.integration.common.environments import NOBODY, environment_of
from tests.integration.common.pooler import transaction_pooler

OWNER, RUNTIME = "check_owner", "check_runtime"
SERVICES = ("billing", "webhooks", "jobs")
EMPTY_LIST = Reply(body={"items": [], "total": 0})
REFUSED_KEY = Reply(status=401, body={"error": {"code": "AuthenticationError", "message": "no"}})


@dataclass
class Installation:
    """Two running services and the environment of jobs, in which all is well until a test changes it."""

    owner_urls: dict[str, str]
    environments: dict[str, dict[str, str]]
    tls: Path
    ark: ArkServer
    folder: Path

    async def findings(self, service: str = "jobs", *, clock: Clock = utc_now, **changes: str) -> list[str]:
        """Returns the lines of `check`."""
        named = {f"{service.upper()}_{name.upper()}": value for name, value in changes.items()}
        environment = {**self.environments[service], **named}
        checks: tuple[Check, ...]
        if service == "jobs":
            self.ark.will(EMPTY_LIST)
            checks = tuple(
                jobs_checks(load_settings(JobsSettings, prefix="JOBS_", environment=environment), clock=clock)
            )
        elif service == "webhooks":
            checks = tuple(
                webhooks_checks(
                    load_settings(WebhooksSettings, prefix="WEBHOOKS_", environment=environment), clock=clock
                )
            )
        else:
            checks = tuple(
                billing_checks(
                    load_settings(BillingSettings, prefix="BILLING_", environment=environment), clock=clock
                )
            )
        return [finding.line(service) for finding in await run_checks(checks)]

    def execute(self, service: str, statement: str) -> None:
        """Changes the database of a service as its owner."""
        with psycopg.connect(self.owner_urls[service], autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def templates(postgres_port: int) -> Iterator[dict[str, str]]:
    """Returns the name of a migrated database of each service, whose tables have an owner of their own."""
    names = {service: f"check_template_{service}" for service in SERVICES}
    with psycopg.connect(cluster(postgres_port).url(), autocommit=True) as connection:
        for role in (OWNER, RUNTIME):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'tests'".encode())
        for service, name in names.items():
            connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}".encode())
            url = _as_role(cluster(postgres_port).url(name), OWNER)
            migrate(url, service=service, runtime_role=RUNTIME)
        yield names
        for name in names.values():
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(f"DROP ROLE {OWNER}, {RUNTIME}".encode())


@pytest.fixture
def owner_urls(postgres_port: int, templates: dict[str, str]) -> Iterator[dict[str, str]]:
    """Returns the database of each service, for the owner of its tables. That of jobs is a fresh one."""
    names = {**templates, "jobs": "check_jobs"}
    with psycopg.connect(cluster(postgres_port).url(), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE check_jobs TEMPLATE {templates['jobs']} OWNER {OWNER} STRATEGY FILE_COPY".encode()
        )
        yield {service: _as_role(cluster(postgres_port).url(name), OWNER) for service, name in names.items()}
        connection.execute(b"DROP DATABASE check_jobs WITH (FORCE)")


def _as_role(url: str, role: str) -> str:
    return make_url(url).set(username=role, password="tests").render_as_string(hide_password=False)


@pytest.fixture
async def installation(owner_urls: dict[str, str], tmp_path: Path) -> AsyncIterator[Installation]:
    ensure_certificates(tmp_path / "tls", now=utc_now())

    def environment(service: str, **changes: str) -> dict[str, str]:
        return environment_of(
            service,
            database_url=_as_role(owner_urls[service], RUNTIME),
            migration_database_url=owner_urls[service],
            folder=tmp_path,
            tls_folder=str(tmp_path / "tls" / service),
            **changes,
        )

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ark = await enter(ArkServer())
        environments = {"billing": environment("billing")}
        billing = await enter(
            open_billing(
                load_settings(BillingSettings, prefix="BILLING_", environment=environments["billing"])
            )
        )
        environments["webhooks"] = environment("webhooks", billing_target=billing.internal_address)
        webhooks = await enter(
            open_webhooks(
                load_settings(WebhooksSettings, prefix="WEBHOOKS_", environment=environments["webhooks"])
            )
        )
        environments["jobs"] = environment(
            "jobs",
            billing_target=billing.internal_address,
            webhooks_target=str(webhooks.internal_address),
            simulator_base_url=ark.base_url,
        )
        yield Installation(owner_urls, environments, tmp_path / "tls", ark, tmp_path)


async def test_where_all_is_well_nothing_is_found(installation: Installation) -> None:
    assert [await installation.findings(service) for service in SERVICES] == [[], [], []]


Plant = Callable[[Installation], dict[str, str]]


def _settings(**changes: str) -> Plant:
    return lambda _installation: changes


def _executed(statement: str) -> Plant:
    def plant(installation: Installation) -> dict[str, str]:
        installation.execute("jobs", statement)
        return {}

    return plant


def _as_owner(installation: Installation) -> dict[str, str]:
    return {"database_url": installation.owner_urls["jobs"], "migration_database_url": ""}


def _of_billing(installation: Installation) -> dict[str, str]:
    installation.execute("billing", "UPDATE alembic_version SET version_num = '9999'")
    return {
        "database_url": _as_role(installation.owner_urls["billing"], RUNTIME),
        "migration_database_url": installation.owner_urls["billing"],
    }


def _wrong_password(installation: Installation) -> dict[str, str]:
    return {
        "database_url": installation.environments["jobs"]["JOBS_DATABASE_URL"].replace(":tests@", ":wrong@")
    }


def _certificate_of(name: str) -> Plant:
    return lambda installation: {"tls_folder": str(installation.tls / name)}


def _foreign_authority(installation: Installation) -> dict[str, str]:
    ensure_certificates(installation.folder / "other", now=utc_now())
    ours, theirs = installation.tls / "jobs", installation.folder / "other" / "jobs"
    (ours / "ca.crt").write_bytes((theirs / "ca.crt").read_bytes())
    return {}


def _foreign_key(installation: Installation) -> dict[str, str]:
    (installation.tls / "jobs" / "tls.key").write_bytes(
        (installation.tls / "billing" / "tls.key").read_bytes()
    )
    return {}


def _file_in_the_way(installation: Installation) -> dict[str, str]:
    (installation.folder / "file").touch()
    return {"media_store_url": str(installation.folder / "file" / "media")}


def _broken_file(setting: str) -> Plant:
    def plant(installation: Installation) -> dict[str, str]:
        (installation.folder / "broken.yaml").write_text("models: [")
        return {setting: str(installation.folder / "broken.yaml")}

    return plant


def _refused_key(installation: Installation) -> dict[str, str]:
    installation.ark.will(REFUSED_KEY)
    return {}


PLANTED: dict[str, tuple[Plant, str]] = {
    "the database is elsewhere": (
        _settings(database_url=f"postgresql://jobs@{NOBODY}/jobs"),
        r"jobs: database: it cannot be reached: .* Correct DATABASE_URL",
    ),
    "the password is wrong": (_wrong_password, r"jobs: database: it cannot be reached: .*password"),
    "the database takes no writes": (
        _executed("ALTER DATABASE check_jobs SET default_transaction_read_only = on"),
        "jobs: database: it takes no writes",
    ),
    "a provider has refused the key of a credential": (
        _executed(
            "INSERT INTO credential_states (name, out_key_name, out_reason) VALUES ('ark', 'main', 'quota')"
        ),
        r"jobs: credential ark: it is out of use: its provider refused key main \(quota\)\. Mend that",
    ),
    "the schema is old": (
        _executed("UPDATE alembic_version SET version_num = '0003'"),
        r"jobs: schema: the schema is at 0003 and this release needs \d{4}\. Run python -m services\.jobs migrate",
    ),
    "it is the database of another service": (
        _of_billing,
        "jobs: schema: it has no table .*, so it is not the database of jobs",
    ),
    "the role owns the tables": (
        _as_owner,
        f"jobs: role: {OWNER} owns the tables or may do what their owner may",
    ),
    "the role lacks rights": (
        _executed(f"REVOKE ALL ON jobs FROM {RUNTIME}"),
        f"jobs: role: {RUNTIME} may not use jobs",
    ),
    "migrations run as the processes do": (
        lambda i: {"migration_database_url": i.environments["jobs"]["JOBS_DATABASE_URL"]},
        f"jobs: owner: migrations run as {RUNTIME}, as the processes do",
    ),
    "the owner cannot connect": (
        lambda i: {"migration_database_url": i.owner_urls["jobs"].replace(":tests@", ":wrong@")},
        f"jobs: owner: {OWNER} cannot connect",
    ),
    "the key is that of another certificate": (
        _foreign_key,
        r"jobs: certificate: .*tls\.key does not belong",
    ),
    "another authority issued it": (
        _foreign_authority,
        r"jobs: certificate: no authority in ca\.crt issued it",
    ),
    "the certificate only serves clients": (
        _certificate_of("operator"),
        "jobs: certificate: its usages lack server auth",
    ),
    "billing does not admit this certificate": (
        _certificate_of("webhooks"),
        r"jobs: billing: \S+ does not admit this service .*spiffe://reelgate/webhooks may not call",
    ),
    "billing does not run": (_settings(billing_target=NOBODY), f"jobs: billing: {NOBODY} does not answer"),
    "webhooks does not run": (_settings(webhooks_target=NOBODY), f"jobs: webhooks: {NOBODY} does not answer"),
    "the provider refuses the key": (_refused_key, "jobs: provider simulator: it refuses us: .*401"),
    "the provider is elsewhere": (
        _settings(simulator_base_url=f"http://{NOBODY}"),
        "jobs: provider simulator: it cannot be asked",
    ),
    "the store takes no files": (_file_in_the_way, "jobs: media store: .*/file/media takes no objects"),
    "there is no such store": (
        _settings(media_store_url="ftp://files"),
        "jobs: media store: ftp://files takes no objects",
    ),
    "the catalogue is broken": (_broken_file("catalogue_file"), "jobs: settings: CATALOGUE_FILE: "),
    "the catalogue names a key that is not there": (
        _settings(live_provider="catalogue"),
        r"jobs: settings: CATALOGUE_FILE: credentials\.ark\.keys\.main: is empty: the variable JOBS_ARK_API_KEY",
    ),
    "the rules of moderation are broken": (
        _broken_file("moderation_file"),
        "jobs: settings: MODERATION_FILE: ",
    ),
    "TLS is waived for other machines": (
        _settings(plaintext_internal="true", admin_address="0.0.0.0:7201"),
        "jobs: settings: PLAINTEXT_INTERNAL: ",
    ),
}


@pytest.mark.parametrize("what", PLANTED)
async def test_what_will_not_work_is_found_on_a_line_that_says_what_to_do(
    what: str, installation: Installation
) -> None:
    plant, expected = PLANTED[what]

    changes: Any = plant(installation)
    lines = await installation.findings(**changes)

    assert any(re.match(expected, line) for line in lines), lines
    assert all(line.endswith(".") and "\n" not in line and "tests" not in line for line in lines)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (timedelta(0), None),
        (CERTIFICATE_LIFETIME * 0.5, None),
        (CERTIFICATE_LIFETIME * 0.7, "it should have been renewed and expires at"),
        (CERTIFICATE_LIFETIME, "it expired at"),
        (-timedelta(days=2), "it is valid from"),
    ],
)
async def test_the_age_of_a_certificate_is_looked_at(
    later: timedelta, expected: str | None, installation: Installation
) -> None:
    lines = await installation.findings(clock=lambda: utc_now() + later)

    found = [line for line in lines if line.startswith("jobs: certificate")]
    assert len(found) == (expected is not None)
    assert all(f"jobs: certificate: {expected}" in line for line in found)


@pytest.mark.parametrize("seconds", [-3.5, 3.5])
async def test_a_clock_that_is_off_is_found(seconds: float, installation: Installation) -> None:
    lines = await installation.findings(clock=lambda: utc_now() + timedelta(seconds=seconds))

    assert [re.sub(r"[\d.]+ s", "N s", line) for line in lines] == [
        "jobs: clock: this machine and the database are N s apart. Let both keep time by NTP."
    ]


async def test_a_pooler_in_transaction_mode_is_found(installation: Installation) -> None:
    url = installation.environments["jobs"]["JOBS_DATABASE_URL"]
    async with transaction_pooler(url) as port:
        pooled = make_url(url).set(port=port).render_as_string(hide_password=False)

        [line] = await installation.findings(database_url=pooled)

    assert line.startswith("jobs: database: two sessions share one connection: a pooler in transaction mode")


async def test_a_broken_price_file_is_found(installation: Installation) -> None:
    (installation.folder / "prices.yaml").write_text("version: [")

    [line] = await installation.findings("billing", prices_file=str(installation.folder / "prices.yaml"))

    assert line.startswith("billing: settings: PRICES_FILE: ")


async def test_a_service_that_never_answers_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.common.diagnosis.findings.CHECK_SECONDS_MAX", 0.01)

    async def look() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    [finding] = await run_checks([Check("billing", look)])

    assert finding.problem.startswith("no answer within")


def _run(service: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}", "check"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_command_ends_with_1_if_it_found_something(installation: Installation) -> None:
    environment = installation.environments["billing"]

    well = await asyncio.to_thread(_run, "billing", environment)
    unknown = await asyncio.to_thread(_run, "billing", {**environment, "BILLING_TYPO": "1"})
    planted = await asyncio.to_thread(
        _run, "billing", {**environment, "BILLING_PRICES_FILE": "/nowhere.yaml"}
    )

    assert (well.returncode, well.stdout) == (
        0,
        "billing: nothing found in settings, database, owner, certificate, prices.\n",
    )
    assert (unknown.returncode, unknown.stdout) == (
        1,
        "billing: settings: BILLING_TYPO: unknown setting. Correct the environment.\n",
    )
    assert planted.returncode == 1
    assert planted.stdout.startswith("billing: settings: PRICES_FILE: /nowhere.yaml: ")
    assert len(planted.stdout.splitlines()) == 1

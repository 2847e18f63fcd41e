"""What every service checks."""

from collections.abc import Collection, Sequence
from functools import partial

from services.common.clock import Clock
from services.common.diagnosis.certificates import look_at_certificate
from services.common.diagnosis.database import look_at_database, look_at_owner
from services.common.diagnosis.findings import Check, Finding
from services.common.diagnosis.neighbours import look_at_neighbour
from services.common.rpc.internal_port import inner_tls
from services.common.settings import ServiceSettings, SettingsError
from services.common.tls.files import TlsError, TlsFolder


def service_checks(
    settings: ServiceSettings,
    *,
    service: str,
    tables: Collection[str],
    addresses: Sequence[str],
    clock: Clock,
) -> list[Check]:
    """Returns the checks of settings, database and certificate. `addresses` are those of the inner ports."""
    checks = [
        Check("settings", partial(_look_at_settings, settings, addresses)),
        Check(
            "database",
            partial(look_at_database, settings.database_url, service=service, tables=tables, clock=clock),
        ),
    ]
    if settings.migration_database_url:
        checks.append(
            Check("owner", partial(look_at_owner, settings.migration_database_url, settings.database_url))
        )
    if settings.tls_folder is not None:
        checks.append(Check("certificate", partial(look_at_certificate, settings.tls_folder, clock=clock)))
    return checks


def neighbour_check(name: str, target: str, *, method: str, settings: ServiceSettings) -> Check:
    """Returns the check of another service that this one calls."""

    async def look() -> Sequence[Finding]:
        tls = None if settings.tls_folder is None else TlsFolder(settings.tls_folder)
        try:
            return await look_at_neighbour(name, target, method=method, tls=tls)
        except TlsError:
            return []  # the check of the certificate says so

    return Check(name, look)


def file_finding(setting: str, error: Exception) -> Finding:
    """Returns the finding about a file that a setting names."""
    problem = "; ".join(str(error).splitlines())
    return Finding(subject="settings", problem=f"{setting}: {problem}", remedy="Correct the file")


async def _look_at_settings(settings: ServiceSettings, addresses: Sequence[str]) -> list[Finding]:
    try:
        inner_tls(settings, *addresses)
    except SettingsError as error:
        return [
            Finding(subject="settings", problem=str(error).removesuffix("."), remedy="Correct the setting")
        ]
    return []

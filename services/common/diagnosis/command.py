"""The `check` command of a service."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from services.common.diagnosis.findings import Check, Finding, run_checks
from services.common.event_loop import run_to_end
from services.common.settings import ServiceSettings, SettingsError

AnyService = TypeVar("AnyService", bound=ServiceSettings)


def check(
    service: str, *, load: Callable[[], AnyService], checks_of: Callable[[AnyService], Sequence[Check]]
) -> int:
    """Prints each finding on a line of standard output, or that there is none. Returns 1 if there is one, else 0.

    `load` reads the settings, and raises SettingsError.
    """
    try:
        checks = checks_of(load())
    except SettingsError as error:
        problems = str(error).splitlines()
        findings = [
            Finding(subject="settings", problem=each, remedy="Correct the environment") for each in problems
        ]
    else:
        findings = run_to_end(run_checks(checks))
        if not findings:
            looked_at = ", ".join(each.subject for each in checks)
            sys.stdout.write(f"{service}: nothing found in {looked_at}.\n")
    sys.stdout.writelines(f"{finding.line(service)}\n" for finding in findings)
    return int(bool(findings))

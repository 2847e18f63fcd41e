"""Checks all migrations that came after the rules."""

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.migration_rules.rendering import NotRenderedError, read_migration
from tests.migration_rules.rules import departures

SERVICES = Path(__file__).parents[2] / "services"
BEFORE_THE_RULES = {"billing": 10, "jobs": 11, "webhooks": 10}
"""The last migration of each service that was made before there were rules. Databases have them already."""


def new_migrations() -> Iterator[Path]:
    """Returns the files that the rules are for."""
    for service, last in BEFORE_THE_RULES.items():
        for path in sorted((SERVICES / service / "migrations").glob("[0-9]*.py")):
            if int(path.name[:4]) > last:
                yield path


def check() -> int:
    """Prints what breaks a rule. Returns 1 if anything does, else 0."""
    found = []
    for path in new_migrations():
        try:
            found += departures(read_migration(path))
        except NotRenderedError as error:
            found.append(str(error))
    sys.stderr.writelines(f"{line}\n" for line in found)
    if found:
        sys.stderr.write(
            "A migration that must break a rule says why beside it: EXCEPTIONS = {'rule': 'reason'}.\n"
        )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(check())

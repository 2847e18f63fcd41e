"""`python -m services.jobs.catalogue FILE`: looks for everything that is wrong with a catalogue file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from services.common.extras import needs_extra

with needs_extra("services"):
    from services.jobs.catalogue.load import load_catalogue
    from services.jobs.catalogue.problems import CatalogueError

USAGE = "usage: python -m services.jobs.catalogue FILE\n"


def main(arguments: Sequence[str]) -> int:
    """Prints each problem on a line of standard output, or that there is none. Returns 1 if there is one, else 0."""
    if len(arguments) != 1:
        sys.stderr.write(USAGE)
        return 2
    path = Path(arguments[0])
    try:
        found = load_catalogue(path).catalogue
    except CatalogueError as error:
        sys.stdout.writelines(f"{problem}\n" for problem in error.problems)
        return 1
    counts = {
        "models": found.models,
        "routes": found.routes,
        "credentials": found.credentials,
        "accounts": found.accounts,
    }
    looked_at = ", ".join(f"{name} {len(each)}" for name, each in counts.items())
    sys.stdout.write(f"{path}: nothing found ({looked_at}).\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Looks at the objects of every overlay as Kubernetes cannot: `python -m deploy.checks`. Prints a finding a line."""

import sys
from collections.abc import Iterator

from deploy.checks import availability, configuration, containers, network, references
from deploy.checks.objects import Objects, named, objects_of
from deploy.k8s.render import FOLDER, OVERLAYS

RULES = (*references.RULES, *configuration.RULES, *containers.RULES, *availability.RULES)


def findings(objects: Objects) -> Iterator[str]:
    """Yields what is wrong with the objects of one installation. Network policies are judged where there are any."""
    for rule in RULES:
        yield from rule(objects)
    if named(objects, "NetworkPolicy"):
        for rule in network.RULES:
            yield from rule(objects)


def main() -> int:
    """Returns the exit code: 0 if nothing was found."""
    found = [
        f"{overlay}: {finding}"
        for overlay in OVERLAYS
        for finding in findings(objects_of(FOLDER / "overlays" / overlay))
    ]
    sys.stdout.write(
        "".join(f"{line}\n" for line in found) or f"Nothing found in {' and '.join(OVERLAYS)}.\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

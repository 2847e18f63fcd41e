"""The whole drill, and the tests of the release before on the new schema: `python -m tests.upgrade [REVISION]`."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.upgrade.drill import run_drill
from tests.upgrade.locks import LOGGED_FROM_MS
from tests.upgrade.previous import add_newer_migrations, export, previous_revision

CUSTOMERS_EACH = 4
REQUESTS_EACH = 400
TESTS = ("tests/integration/billing", "tests/integration/jobs", "tests/integration/webhooks")
ABOUT_ITS_OWN_SCHEMA = ("migrations", "queries", "plans", "lock_order", "only_what_is_old_is_read")
"""Tests of the release before that name its own tables and indexes in plans and locks, or migrate to them."""
_EXPRESSION = " and ".join(f"not {name}" for name in ABOUT_ITS_OWN_SCHEMA)
WAIT_MS_MAX = 100.0


def main(revision: str) -> int:
    """Prints what was measured. Returns 1 if anything failed, else 0."""
    print(f"From {revision} to this version:")
    outcome = asyncio.run(
        run_drill(revision, customers_each=CUSTOMERS_EACH, requests_each=REQUESTS_EACH, rolls_back=True)
    )
    problems = outcome.problems()
    for name, count in outcome.record.requests.items():
        print(f"{count:6,} requests  {name}")
    longest = max(outcome.migration_waits_ms, default=0.0)
    print(f"Longest wait for a table during the migration: {longest or f'less than {LOGGED_FROM_MS}'} ms")
    if longest > WAIT_MS_MAX:
        problems.append(f"a statement waited {longest} ms for a table")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    passed = _old_tests_pass(revision)
    return int(bool(problems) or not passed)


def _old_tests_pass(revision: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="reelgate-previous-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL runs as another user who must get in
        export(revision, folder)
        print(
            f"Tests of {revision} with {', '.join(add_newer_migrations(folder)) or 'no newer migration'}:",
            flush=True,
        )
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "-k", _EXPRESSION, *TESTS],
            cwd=folder,
            check=False,
        )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] else previous_revision()))

"""Has promtool judge the rules, and evaluate them over the series of tests/. It comes with Prometheus."""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    """Returns what promtool says: 0 if all is well. Says so if it is not installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        print("promtool is not installed (Debian: apt install prometheus): the alerts were not evaluated.")  # noqa: T201
        return 0
    tests = sorted((FOLDER / "tests").glob("*.yaml"))
    for words in (["check", "rules", FOLDER / "rules.yaml"], ["test", "rules", *tests]):
        done = subprocess.run([promtool, *words], check=False)  # noqa: S603  promtool
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())

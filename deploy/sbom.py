"""Writes what each image holds of Python, as CycloneDX: build/sbom/IMAGE.cdx.json.

Each is read from a virtual environment with just that, so licences and dependencies are known too. The system below,
and the libraries inside of wheels, are the business of scanners of images.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

DEPLOY = Path(__file__).parent
FOLDER = DEPLOY.parent / "build" / "sbom"
SPECIFICATION = "1.6"


def write_sbom(python: Path, file: Path) -> None:
    """Writes into `file` what is installed for an interpreter. The same installation gives the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "environment"),
            *("--pyproject", DEPLOY.parent / "pyproject.toml", "--mc-type", "application"),
            *("--output-format", "JSON", "--spec-version", SPECIFICATION, "--output-reproducible"),
            *("--output-file", file, python),
        ],
        check=True,
    )


def main() -> None:
    """Writes those of all images."""
    for lock in sorted((DEPLOY / "locks").glob("*.lock")):
        if lock.stem == "build":
            continue
        with tempfile.TemporaryDirectory() as folder:
            python = Path(folder) / "bin" / "python"
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python)
            subprocess.run([*install, "--require-hashes", "--requirement", lock], check=True)
            write_sbom(python, FOLDER / f"{lock.stem}.cdx.json")


if __name__ == "__main__":
    main()

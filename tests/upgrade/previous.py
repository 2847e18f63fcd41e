"""The source of the release before, and its processes."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = ("billing", "webhooks", "jobs")
FIRST_DEPLOYED = "3ea593b77f35"
"""The release that was deployed before there were tags."""


def previous_revision() -> str:
    """Returns the newest release before this version: its newest tag, or the one that was deployed before there were tags."""
    tagged = _git("describe", "--tags", "--abbrev=0", "HEAD^", check=False)
    return tagged or _git("rev-parse", "--verify", f"{FIRST_DEPLOYED}^{{commit}}")


def export(revision: str, folder: Path) -> None:
    """Writes the files of a revision to a folder."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def add_newer_migrations(folder: Path) -> list[str]:
    """Gives an exported release the migrations of this version, as its tests would find the schema. Returns their names."""
    added = []
    for service in SERVICES:
        theirs = folder / "services" / service / "migrations"
        for ours in sorted((ROOT / "services" / service / "migrations").glob("[0-9]*.py")):
            if not (theirs / ours.name).exists():
                shutil.copy(ours, theirs)
                added.append(f"{service}/{ours.stem}")
    return added


def _git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise SystemExit(
            f"git {' '.join(arguments)}: {done.stderr.strip()}. Name a revision: make check-upgrade PREVIOUS=…"
        )
    return done.stdout.strip() if done.returncode == 0 else ""

"""The built wheel in a virtual environment of its own that holds what a lock pins and nothing of the checkout."""

import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+==.*?)(?: \\)?$", re.MULTILINE)

WATCH = """
import os, sys

def note(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str):
        path = os.path.abspath(arguments[0])
        if path.startswith({checkout!r}) and not path.startswith({packages!r}):
            with open({report!r}, "a") as report:
                report.write(path + "\\n")

sys.addaudithook(note)
"""
"""Runs first in every Python of the environment: reports each file of the checkout that is opened or listed."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A virtual environment with the wheel in it."""

    folder: Path

    @property
    def python(self) -> Path:
        """Returns its Python."""
        return self.folder / "bin" / "python"

    @property
    def opened_of_checkout(self) -> list[str]:
        """Returns what its processes have opened of the checkout so far."""
        report = self.folder / "opened.txt"
        return report.read_text().splitlines() if report.exists() else []

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs its Python outside the checkout, whatever comes of it."""
        return subprocess.run(
            [self.python, *arguments],
            **{"cwd": "/", "capture_output": True, "text": True, "timeout": PATIENCE_SECONDS, **options},
            check=False,
        )


def build_wheel(folder: Path) -> Path:
    """Builds the wheel of this checkout, and that of the client beside it. Returns the path of the first."""
    for project in (ROOT, ROOT / "clients" / "python"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
            cwd=project,
            check=True,
            capture_output=True,
        )
    [wheel] = folder.glob("reelgate-*.whl")
    return wheel


def pinned(lock: str) -> list[Requirement]:
    """Returns what a lock of deploy/locks pins for this system."""
    found = map(Requirement, PIN.findall((ROOT / "deploy" / "locks" / f"{lock}.lock").read_text()))
    return [each for each in found if each.marker is None or each.marker.evaluate()]


def install(wheel: Path, folder: Path, *, without: tuple[str, ...] = (), lock: str) -> Installation:
    """Installs the wheels, and what a lock of deploy/locks pins: links to what is installed here, which is the same."""
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for requirement in pinned(lock):
        if requirement.name not in without:
            _link(requirement, packages)
    installed = Installation(folder=folder)
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", installed.python, *wheel.parent.glob("*.whl")],
        check=True,
    )  # fmt: skip
    watch = WATCH.format(checkout=f"{ROOT}/", packages=f"{sys.prefix}/", report=str(folder / "opened.txt"))
    (packages / "checkout_watch.py").write_text(watch)
    (packages / "checkout_watch.pth").write_text("import checkout_watch\n")
    return installed


def _link(requirement: Requirement, packages: Path) -> None:
    found = distribution(requirement.name)
    assert requirement.specifier.contains(found.version), f"{requirement}, but {found.version} is installed"
    for file in found.files or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        source, target = Path(str(found.locate_file(file))), packages / file
        _link_new(source, target)
        _link_new(source.parent / "__pycache__", target.parent / "__pycache__")


def _link_new(source: Path, target: Path) -> None:
    if source.exists() and not target.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)

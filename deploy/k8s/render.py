"""Renders the Kubernetes objects of each overlay into one file, for those who only apply them: rendered/NAME.yaml."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
OVERLAYS = ("dev", "production")
KUBECTL = Path(sys.executable).parent / "kubectl"
HEAD = "# Rendered by `make gen` from deploy/k8s/overlays/{}. Do not edit it.\n"


def render(source: Path) -> str:
    """Returns the objects of a folder with a kustomization, in YAML. Raises CalledProcessError."""
    built = subprocess.run([KUBECTL, "kustomize", source], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  the wheel's
    return built.stdout


def write(folder: Path) -> None:
    """Writes a file for each overlay into `folder`."""
    for name in OVERLAYS:
        text = HEAD.format(name) + render(FOLDER / "overlays" / name)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER / "rendered")

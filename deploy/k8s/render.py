"""Renders the Kubernetes objects of each overlay into one file, for those who only apply them: rendered/NAME.yaml.

Before that it copies the catalogue that is shipped to where its ConfigMap is made from.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
OVERLAYS = ("dev", "production")
KUBECTL = Path(sys.executable).parent / "kubectl"
SHIPPED_CATALOGUE = FOLDER.parents[1] / "services" / "jobs" / "catalogue.yaml"
CATALOGUE = FOLDER / "components" / "catalogue" / "catalogue.yaml"
COPIED = "# Copied by `make gen` from services/jobs/catalogue.yaml. Do not edit it.\n"
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


def catalogue() -> str:
    """Returns the catalogue as its component has it."""
    return COPIED + SHIPPED_CATALOGUE.read_text(encoding="utf-8")


if __name__ == "__main__":
    CATALOGUE.write_text(catalogue(), encoding="utf-8")
    write(FOLDER / "rendered")

"""What the Kubernetes manifests run is in the image that they name."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.wheel.conftest import Install
from tests.wheel.installation import ROOT

IMAGES = {"reelgate": "services", "reelgate-edge": "edge", "reelgate-stack": "stack"}
"""The images of deploy/Dockerfile by name, and their targets."""
OURS = re.compile(r"(?:^|/)(reelgate[a-z-]*):")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yields the image and the command of each container of ours, and of each of its hooks."""
    for rendered in (ROOT / "deploy" / "k8s" / "rendered").glob("*.yaml"):
        for described in yaml.safe_load_all(rendered.read_text()):
            pod = described.get("spec", {}).get("template", {}).get("spec", {})
            for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
                if found := OURS.search(container["image"]):
                    yield from ((found[1], command) for command in _of(container))


def _of(container: dict[str, Any]) -> Iterator[list[str]]:
    if "command" in container:
        yield container["command"]
    for hook in container.get("lifecycle", {}).values():
        if "exec" in hook:
            yield hook["exec"]["command"]


def modules() -> list[tuple[str, str]]:
    """Returns each image, and each module that is run in it."""
    return sorted({(image, words[2]) for image, words in commands() if words[:2] == ["python", "-m"]})


def test_the_manifests_run_something_of_every_image() -> None:
    assert {image for image, _ in modules()} == IMAGES.keys()


@pytest.mark.parametrize(("image", "module"), modules())
def test_what_a_manifest_runs_is_in_its_image(installed: Install, image: str, module: str) -> None:
    imported = installed(IMAGES[image]).run("-c", f"import {module}.__main__")

    assert imported.returncode == 0, imported.stderr

"""A release is named in pyproject.toml. Images and migration Jobs carry the same version, and a Job is never changed."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.k8s.render import FOLDER, OVERLAYS, render

VERSION = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(render(FOLDER / "overlays" / request.param)) if found]


def test_every_image_of_ours_has_the_version_of_the_release(objects: list[dict[str, Any]]) -> None:
    images = {
        container["image"]
        for found in objects
        if found["kind"] in {"Deployment", "StatefulSet", "Job"}
        for container in (
            *found["spec"]["template"]["spec"]["containers"],
            *found["spec"]["template"]["spec"].get("initContainers", ()),
        )
    }
    ours = {image for image in images if "reelgate" in image}

    assert {image.rpartition("/")[2] for image in ours} == {
        f"{name}:{VERSION}" for name in ("reelgate", "reelgate-edge", "reelgate-stack")
    }


def test_each_service_has_a_migration_of_this_release(objects: list[dict[str, Any]]) -> None:
    jobs = {found["metadata"]["name"] for found in objects if found["kind"] == "Job"}

    assert jobs == {
        f"{service}-migrate-{VERSION.replace('.', '-')}" for service in ("jobs", "billing", "webhooks")
    }


def test_a_migration_reads_no_settings_that_an_overlay_may_change(objects: list[dict[str, Any]]) -> None:
    # An applied Job cannot be changed: one that named a ConfigMap by its content would refuse the next setting.
    for job in (found for found in objects if found["kind"] == "Job"):
        containers = job["spec"]["template"]["spec"]["containers"]
        assert [container.get("envFrom") for container in containers] == [None]


def test_what_is_rendered_is_whole() -> None:
    assert {path.stem for path in Path(FOLDER / "rendered").iterdir()} == set(OVERLAYS)

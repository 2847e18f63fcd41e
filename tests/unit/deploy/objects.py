"""The objects of an overlay, as an operator applies them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.k8s.render import FOLDER, render

Found = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "Job")


@cache
def objects_of(folder: Path) -> tuple[Found, ...]:
    """Returns the objects of a folder with a kustomization."""
    return tuple(found for found in yaml.safe_load_all(render(folder)) if found)


def production() -> tuple[Found, ...]:
    """Returns the objects of the overlay `production`."""
    return objects_of(FOLDER / "overlays" / "production")


def named(objects: tuple[Found, ...], kind: str) -> dict[str, Found]:
    """Returns the objects of one kind by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods(objects: tuple[Found, ...], *kinds: str) -> dict[str, Found]:
    """Returns what the pods of each workload are made from, by the workload's name."""
    return {
        name: found["spec"]["template"]["spec"]
        for kind in kinds or WORKLOADS
        for name, found in named(objects, kind).items()
    }


def settings_of(objects: tuple[Found, ...], workload: str) -> dict[str, str]:
    """Returns the settings of a workload's process that are not in Secrets."""
    process = pods(objects)[workload]["containers"][0]
    shared = (
        source["configMapRef"]["name"] for source in process.get("envFrom", ()) if "configMapRef" in source
    )
    maps = named(objects, "ConfigMap")
    settings = {name: value for source in shared for name, value in maps[source]["data"].items()}
    return settings | {entry["name"]: entry["value"] for entry in process.get("env", ())}


def secret_keys(objects: tuple[Found, ...]) -> Iterator[tuple[str, str]]:
    """Yields each Secret and key that a setting reads from a file, or a volume picks."""
    for name, pod in pods(objects).items():
        folders = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        for volume in pod["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                yield from ((source["secret"]["name"], item["key"]) for item in source["secret"]["items"])
            if "secret" in volume and "items" not in volume["secret"]:
                folder = f"{folders[volume['name']]}/"
                for setting, path in settings_of(objects, name).items():
                    if setting.endswith("_FILE") and path.startswith(folder):
                        yield volume["secret"]["secretName"], path.removeprefix(folder)

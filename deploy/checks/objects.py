"""The objects of an overlay, as an operator applies them."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.k8s.render import FOLDER, render

Found = dict[str, Any]
Objects = tuple[Found, ...]
WORKLOADS = ("Deployment", "StatefulSet", "Job")


@cache
def objects_of(folder: Path) -> Objects:
    """Returns the objects of a folder with a kustomization."""
    return tuple(found for found in yaml.safe_load_all(render(folder)) if found)


def production() -> Objects:
    """Returns the objects of the overlay `production`."""
    return objects_of(FOLDER / "overlays" / "production")


def named(objects: Objects, kind: str) -> dict[str, Found]:
    """Returns the objects of one kind by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods(objects: Objects, *kinds: str) -> dict[str, Found]:
    """Returns what the pods of each workload are made from, by the workload's name."""
    return {
        name: found["spec"]["template"]["spec"]
        for kind in kinds or WORKLOADS
        for name, found in named(objects, kind).items()
    }


def settings_of(objects: Objects, workload: str) -> dict[str, str]:
    """Returns the settings of a workload's process that are not in Secrets."""
    process = pods(objects)[workload]["containers"][0]
    shared = (
        source["configMapRef"]["name"] for source in process.get("envFrom", ()) if "configMapRef" in source
    )
    maps = named(objects, "ConfigMap")
    settings = {name: value for source in shared for name, value in maps[source]["data"].items()}
    return settings | {entry["name"]: entry["value"] for entry in process.get("env", ())}


def secret_keys(objects: Objects) -> Iterator[tuple[str, str]]:
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


def labels_of_pods(objects: Objects) -> dict[str, dict[str, str]]:
    """Returns the labels of each workload's pods, those of the clusters of PostgreSQL included, by the workload's name."""
    labels = {
        found["metadata"]["name"]: found["spec"]["template"]["metadata"]["labels"]
        for found in objects
        if found["kind"] in WORKLOADS
    }
    return labels | {
        name: found["spec"]["inheritedMetadata"]["labels"]
        for name, found in named(objects, "Cluster").items()
    }


def meets(labels: Mapping[str, str], selector: Mapping[str, Any]) -> bool:
    """Returns whether a selector means pods with these labels."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(wanted["key"]) in wanted["values"] for wanted in selector.get("matchExpressions", ())
    )


def selected(objects: Objects, selector: Mapping[str, Any]) -> list[str]:
    """Returns the workloads whose pods a selector means."""
    return [name for name, labels in labels_of_pods(objects).items() if meets(labels, selector)]


def ports_of(objects: Objects, workload: str) -> dict[str, int]:
    """Returns the ports of a workload's process by name."""
    ports = pods(objects).get(workload, {"containers": [{}]})["containers"][0].get("ports", ())
    return {port["name"]: port["containerPort"] for port in ports}


def port_number(objects: Objects, workload: str, port: str | int) -> int | None:
    """Returns the number of a port that may be given by name; None if the workload has none of that name."""
    return port if isinstance(port, int) else ports_of(objects, workload).get(port)


def containers(objects: Objects) -> Iterator[tuple[str, Found]]:
    """Yields every container with the name of its workload, those that run before the others included."""
    for workload, pod in pods(objects).items():
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield workload, container

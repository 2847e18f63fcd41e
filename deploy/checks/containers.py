"""Rules on containers: what they may do, what they may use, and what they see."""

from collections.abc import Iterator

from deploy.checks.objects import Found, Objects, containers, named, pods

IMAGES = ("reelgate", "reelgate-edge", "reelgate-mcp", "reelgate-stack")
"""The targets of deploy/Dockerfile."""
_UNITS = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "": 1}


def pods_are_restricted(objects: Objects) -> Iterator[str]:
    """Pods meet the profile `restricted` of Pod Security, and run as a numeric user that is not root."""
    for workload, pod in pods(objects).items():
        security = pod.get("securityContext", {})
        if not security.get("runAsNonRoot") or not security.get("runAsUser"):
            yield f"{workload}: set securityContext.runAsNonRoot to true and runAsUser to a number above 0"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{workload}: set securityContext.seccompProfile.type to RuntimeDefault"
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(forbidden):
                yield f"{workload}: leave {forbidden} out"
        yield from (
            f"{workload}: the volume {volume['name']} is a folder of the node; use another kind"
            for volume in pod.get("volumes", ())
            if "hostPath" in volume
        )
    for workload, container in containers(objects):
        yield from _unrestricted(
            f"{workload}, container {container['name']}", container.get("securityContext", {})
        )


def _unrestricted(what: str, security: Found) -> Iterator[str]:
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield f"{what}: set allowPrivilegeEscalation to false, and leave privileged out"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{what}: drop all capabilities and add none"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{what}: set readOnlyRootFilesystem to true"
    if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
        yield f"{what}: it must not run as root"


def requests_are_within_limits(objects: Objects) -> Iterator[str]:
    """Every container asks for processor time and memory, has a limit of memory, and asks for no more than its limits."""
    for workload, container in containers(objects):
        what = f"{workload}, container {container['name']}"
        requests = container.get("resources", {}).get("requests", {})
        limits = container.get("resources", {}).get("limits", {})
        if "cpu" not in requests or "memory" not in requests or "memory" not in limits:
            yield f"{what}: set resources.requests of cpu and memory, and resources.limits of memory"
        for resource in requests.keys() & limits.keys():
            if _amount(requests[resource]) > _amount(limits[resource]):
                yield f"{what}: it requests {requests[resource]} of {resource}, above its limit of {limits[resource]}"


def images_are_ours_and_of_one_version(objects: Objects) -> Iterator[str]:
    """Images are targets of deploy/Dockerfile with a version, the same in every container."""
    versions = set()
    for workload, container in containers(objects):
        name, _, version = container["image"].rpartition("/")[2].partition(":")
        if name in IMAGES:
            versions.add(version)
        if version in ("", "latest"):
            yield f"{workload}: the image {container['image']} needs a version that does not move"
    if len(versions) > 1:
        yield f"images of several versions: {', '.join(sorted(versions))}; set newTag of all images alike"


def mounts_have_volumes(objects: Objects) -> Iterator[str]:
    """Every mount has a volume, and every container a /tmp that can be written."""
    claimed = {
        claim["metadata"]["name"]
        for found in objects
        if found["kind"] == "StatefulSet"
        for claim in found["spec"].get("volumeClaimTemplates", ())
    }
    for workload, container in containers(objects):
        volumes = {volume["name"] for volume in pods(objects)[workload].get("volumes", ())} | claimed
        mounts = container.get("volumeMounts", ())
        for mount in mounts:
            if mount["name"] not in volumes:
                yield f"{workload}, container {container['name']}: it mounts {mount['name']}, which is no volume of the pod"
        if "/tmp" not in {mount["mountPath"] for mount in mounts}:  # noqa: S108  in the container
            yield f"{workload}, container {container['name']}: mount an emptyDir at /tmp; nothing else can be written"


def pods_hold_no_rights_in_the_cluster(objects: Objects) -> Iterator[str]:
    """No pod has a token of Kubernetes or the addresses of Services in its environment, and each has an account of its own."""
    accounts = named(objects, "ServiceAccount")
    for workload, pod in pods(objects).items():
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{workload}: set automountServiceAccountToken to false"
        if pod.get("enableServiceLinks") is not False:
            yield f"{workload}: set enableServiceLinks to false; its variables look like our settings"
        if pod.get("serviceAccountName") not in accounts:
            yield f"{workload}: there is no ServiceAccount {pod.get('serviceAccountName')}"


def _amount(text: str) -> float:
    number = text.rstrip("mKiMG")
    return float(number) * _UNITS[text.removeprefix(number)]


RULES = (
    pods_are_restricted,
    requests_are_within_limits,
    images_are_ours_and_of_one_version,
    mounts_have_volumes,
    pods_hold_no_rights_in_the_cluster,
)

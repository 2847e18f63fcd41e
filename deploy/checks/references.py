"""Rules on names: what one object names, another has."""

from collections.abc import Iterator

from deploy.checks.objects import Objects, labels_of_pods, meets, named, pods, port_number, ports_of, selected

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HANDLERS = ("grpc", "httpGet", "tcpSocket")


def workloads_select_their_own_pods(objects: Objects) -> Iterator[str]:
    """A Deployment or StatefulSet selects the pods that it makes."""
    labels = labels_of_pods(objects)
    for kind in ("Deployment", "StatefulSet"):
        for name, found in named(objects, kind).items():
            if not meets(labels[name], found["spec"]["selector"]):
                yield f"{kind} {name}: its selector does not mean its own pods; make it equal to the labels of the template"


def selectors_find_pods(objects: Objects) -> Iterator[str]:
    """Services, budgets and policies select pods that exist, and Services and budgets those of one workload."""
    for name, found in named(objects, "Service").items():
        yield from _one(f"Service {name}", selected(objects, {"matchLabels": found["spec"]["selector"]}))
    for name, found in named(objects, "PodDisruptionBudget").items():
        yield from _one(f"PodDisruptionBudget {name}", selected(objects, found["spec"]["selector"]))
    for name, found in named(objects, "NetworkPolicy").items():
        if not selected(objects, found["spec"]["podSelector"]):
            yield f"NetworkPolicy {name}: its podSelector means no pod"


def ports_of_services_exist(objects: Objects) -> Iterator[str]:
    """A Service leads to ports that the processes behind it have."""
    for name, found in named(objects, "Service").items():
        for workload in selected(objects, {"matchLabels": found["spec"]["selector"]}):
            for port in found["spec"]["ports"]:
                number = port_number(objects, workload, port["targetPort"])
                if number not in ports_of(objects, workload).values():
                    yield f"Service {name}: {workload} has no port {port['targetPort']}; name one of {sorted(ports_of(objects, workload))}"


def ports_of_probes_exist(objects: Objects) -> Iterator[str]:
    """A probe asks a port that its process has."""
    for workload, pod in pods(objects).items():
        container = pod["containers"][0]
        for probe in PROBES:
            for handler in _HANDLERS:
                port = container.get(probe, {}).get(handler, {}).get("port")
                if (
                    port is not None
                    and port_number(objects, workload, port) not in ports_of(objects, workload).values()
                ):
                    yield f"{workload}: {probe} asks port {port}, which the process does not have"


def named_ports_of_policies_exist(objects: Objects) -> Iterator[str]:
    """A port that a policy lets in by name exists in a pod that the policy means."""
    for name, found in named(objects, "NetworkPolicy").items():
        behind = selected(objects, found["spec"]["podSelector"])
        for entry in found["spec"].get("ingress", ()):
            for port in entry.get("ports", ()):
                if all(port_number(objects, workload, port["port"]) is None for workload in behind):
                    yield f"NetworkPolicy {name}: no pod that it means has a port {port['port']}"


def scalers_find_their_targets(objects: Objects) -> Iterator[str]:
    """What scales names a Deployment that exists, and one thing scales each."""
    seen: set[str] = set()
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for name, found in named(objects, kind).items():
            target = found["spec"]["scaleTargetRef"]["name"]
            if target not in named(objects, "Deployment"):
                yield f"{kind} {name}: there is no Deployment {target}"
            elif target in seen:
                yield f"{kind} {name}: something else scales {target} already"
            elif (
                "replicas" in named(objects, "Deployment")[target]["spec"]
                and kind == "HorizontalPodAutoscaler"
            ):
                yield f"Deployment {target}: leave `replicas` out; {kind} {name} sets it, and applying again would undo that"
            seen.add(target)


def metrics_are_read(objects: Objects) -> Iterator[str]:
    """A PodMonitor reads a port of every process that has metrics."""
    for name, found in named(objects, "PodMonitor").items():
        for endpoint in found["spec"]["podMetricsEndpoints"]:
            for workload in named(objects, "Deployment"):
                has = ports_of(objects, workload)
                if "metrics" in has and (
                    endpoint["port"] not in has
                    or workload not in selected(objects, found["spec"]["selector"])
                ):
                    yield f"PodMonitor {name}: it does not read {workload}, whose port is named `metrics`"


def _one(what: str, workloads: list[str]) -> Iterator[str]:
    if len(workloads) != 1:
        yield f"{what}: its selector means {' and '.join(workloads) or 'no pod'}; it must mean the pods of one workload"


RULES = (
    workloads_select_their_own_pods,
    selectors_find_pods,
    ports_of_services_exist,
    ports_of_probes_exist,
    named_ports_of_policies_exist,
    scalers_find_their_targets,
    metrics_are_read,
)

"""Rules on rollouts, drains and evictions: at no moment is a service without a process that answers."""

from collections.abc import Iterator

from deploy.checks.objects import Objects, named, pods, settings_of
from deploy.checks.references import PROBES
from services.common.rpc.durations import grace_seconds
from services.edge.drain import DRAIN_SECONDS_MAX
from services.jobs.duties.walk_jobs import DRAIN_SECONDS
from services.mcp.settings import STOP_SECONDS_MAX
from services.webhooks.duties.deliver import STOP_SECONDS

SERVICES = ("billing", "jobs", "webhooks")
_WORK_SECONDS = {"jobs-worker": DRAIN_SECONDS, "webhooks-dispatcher": STOP_SECONDS, "mcp": STOP_SECONDS_MAX}
"""How long those processes take to hand over what they are at."""
_NO_PROCESS_OF_OURS = ("operator",)
KNOWN_SECONDS = 10
"""Within which the name servers of a cluster tell of a pod that has become ready."""


def processes_have_probes(objects: Objects) -> Iterator[str]:
    """Every Deployment has all three probes, and none is restarted because something else is away."""
    for name in _served(objects):
        container = pods(objects)[name]["containers"][0]
        for probe in PROBES:
            if probe not in container:
                yield f"{name}: add a {probe}"
        if _asked(container.get("livenessProbe", {})) == _asked(container.get("readinessProbe", {})):
            yield f"{name}: livenessProbe asks what readinessProbe asks; it must only ask whether the process answers"


def pods_may_drain(objects: Objects) -> Iterator[str]:
    """A pod may take as long to end as the code takes, and callers notice before its port closes."""
    for name in _served(objects):
        grace = pods(objects)[name].get("terminationGracePeriodSeconds", 30)
        notice = _notice_seconds(objects, name)
        needed = (
            notice + DRAIN_SECONDS_MAX
            if name == "edge"
            else grace_seconds(notice_seconds=notice, work_seconds=_WORK_SECONDS.get(name, 0.0))
        )
        if grace < needed:
            yield f"{name}: terminationGracePeriodSeconds is {grace}; it takes up to {needed:g} seconds to end"
        if not notice and name not in _WORK_SECONDS:
            yield f"{name}: set its …_NOTICE_SECONDS, so that callers leave it before it closes"


def the_edge_drains_before_it_stops(objects: Objects) -> Iterator[str]:
    """Envoy itself ends at once; the hook before waits for its requests."""
    hook = pods(objects)["edge"]["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {})
    if hook.get("command") != ["python", "-m", "services.edge", "drain"]:
        yield "edge: add a preStop hook that runs `python -m services.edge drain`"


def evictions_leave_a_process(objects: Objects) -> Iterator[str]:
    """Every Deployment with more than one pod has a budget that an eviction can use and that leaves a pod."""
    budgets = {
        found["spec"]["selector"].get("matchLabels", {}).get("app.kubernetes.io/name"): found["spec"]
        for found in named(objects, "PodDisruptionBudget").values()
    }
    for name in _served(objects):
        replicas, budget = _replicas_min(objects, name), budgets.get(name)
        if budget is None:
            yield f"{name}: add a PodDisruptionBudget"
        elif budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget {name}: set unhealthyPodEvictionPolicy to AlwaysAllow, or a broken pod stops a drain"
        elif "minAvailable" in budget or not 0 < budget.get("maxUnavailable", 0) <= max(1, replicas - 1):
            yield f"PodDisruptionBudget {name}: maxUnavailable must be 1 or more, and below the {replicas} pods there are"


def rollouts_start_before_they_stop(objects: Objects) -> Iterator[str]:
    """A new pod is ready before an old one is stopped, and pods are spread over nodes and zones."""
    for name in _served(objects):
        rolling = named(objects, "Deployment")[name]["spec"].get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
            yield f"{name}: set strategy.rollingUpdate to maxSurge 1, maxUnavailable 0"
        if named(objects, "Deployment")[name]["spec"].get("minReadySeconds", 0) < KNOWN_SECONDS:
            yield f"{name}: set minReadySeconds to {KNOWN_SECONDS} or more, so that callers know a new pod before an old one stops"
        spread = {each["topologyKey"] for each in pods(objects)[name].get("topologySpreadConstraints", ())}
        if not {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} <= spread:
            yield f"{name}: spread its pods by kubernetes.io/hostname and topology.kubernetes.io/zone"


def schemas_come_first(objects: Objects) -> Iterator[str]:
    """Each service has a migration named by its version, and its processes wait for it."""
    jobs = named(objects, "Job")
    for service in SERVICES:
        of_service = [name for name, pod in pods(objects, "Job").items() if _runs(pod, service, "migrate")]
        if len(of_service) != 1:
            yield f"{service}: it needs one Job that runs `python -m services.{service} migrate`"
        for name in of_service:
            version = pods(objects, "Job")[name]["containers"][0]["image"].rpartition(":")[2]
            if not name.endswith(version.replace(".", "-")):
                yield f"Job {name}: name it by the version of its image, {version}; a Job cannot be changed"
            if not jobs[name]["spec"].get("backoffLimit"):
                yield f"Job {name}: set backoffLimit; the database may come later"
        for name, pod in pods(objects, "Deployment").items():
            if pod["containers"][0]["command"][:3] == ["python", "-m", f"services.{service}"]:
                waiting = pod.get("initContainers", [{}])[0].get("command", [])
                if waiting[2:] != [f"services.{service}", "wait-migrated"]:
                    yield f"{name}: add an init container that runs `python -m services.{service} wait-migrated`"


def _served(objects: Objects) -> list[str]:
    return [name for name in named(objects, "Deployment") if name not in _NO_PROCESS_OF_OURS]


def _asked(probe: dict[str, object]) -> dict[str, object]:
    return {kind: probe[kind] for kind in ("grpc", "httpGet", "tcpSocket") if kind in probe}


def _notice_seconds(objects: Objects, workload: str) -> float:
    settings = settings_of(objects, workload)
    return next((float(value) for name, value in settings.items() if name.endswith("_NOTICE_SECONDS")), 0.0)


def _replicas_min(objects: Objects, workload: str) -> int:
    for kind, least in (("HorizontalPodAutoscaler", "minReplicas"), ("ScaledObject", "minReplicaCount")):
        for found in named(objects, kind).values():
            if found["spec"]["scaleTargetRef"]["name"] == workload:
                return int(found["spec"].get(least, 1))
    return int(named(objects, "Deployment")[workload]["spec"].get("replicas", 1))


def _runs(pod: dict[str, object], service: str, word: str) -> bool:
    containers: list[dict[str, object]] = pod["containers"]  # type: ignore[assignment]
    return containers[0]["command"] == ["python", "-m", f"services.{service}", word]


RULES = (
    processes_have_probes,
    pods_may_drain,
    the_edge_drains_before_it_stops,
    evictions_leave_a_process,
    rollouts_start_before_they_stop,
    schemas_come_first,
)

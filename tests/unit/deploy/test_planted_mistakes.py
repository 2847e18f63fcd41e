"""Each mistake that an operator may make in the objects is found, and what it is found by names the place."""

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest

from deploy.checks.__main__ import findings
from deploy.checks.objects import Found, Objects, objects_of
from deploy.k8s.render import FOLDER, OVERLAYS

Mistake = Callable[["Planted"], None]


class Planted:
    """The objects of the overlay `production`, to be changed."""

    def __init__(self) -> None:
        self.objects: Objects = deepcopy(objects_of(FOLDER / "overlays" / "production"))

    def of(self, kind: str, name: str) -> Found:
        """Returns an object; the name may lack what kustomize puts after it."""
        return next(
            found
            for found in self.objects
            if found["kind"] == kind and re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", found["metadata"]["name"])
        )

    def pod(self, name: str, kind: str = "Deployment") -> Found:
        pod: Found = self.of(kind, name)["spec"]["template"]["spec"]
        return pod

    def process(self, name: str, kind: str = "Deployment") -> Found:
        process: Found = self.pod(name, kind)["containers"][0]
        return process

    def without(self, kind: str, name: str) -> None:
        gone = self.of(kind, name)
        self.objects = tuple(found for found in self.objects if found is not gone)


def _within(found: Any, keys: Sequence[Any]) -> Any:
    for key in keys:
        found = found[key]
    return found


def _set(*keys: Any, to: Any, of: Callable[[Planted], Found]) -> Mistake:
    def plant(planted: Planted) -> None:
        _within(of(planted), keys[:-1])[keys[-1]] = to

    return plant


def _unset(*keys: Any, of: Callable[[Planted], Found]) -> Mistake:
    def plant(planted: Planted) -> None:
        del _within(of(planted), keys[:-1])[keys[-1]]

    return plant


def _more(*keys: Any, what: Any, of: Callable[[Planted], Found]) -> Mistake:
    def plant(planted: Planted) -> None:
        _within(of(planted), keys).append(what)

    return plant


def _settings(service: str) -> Callable[[Planted], Found]:
    return lambda planted: planted.of("ConfigMap", service)


def _process(name: str, kind: str = "Deployment") -> Callable[[Planted], Found]:
    return lambda planted: planted.process(name, kind)


def _pod(name: str, kind: str = "Deployment") -> Callable[[Planted], Found]:
    return lambda planted: planted.pod(name, kind)


def _object(kind: str, name: str) -> Callable[[Planted], Found]:
    return lambda planted: planted.of(kind, name)


BILLING = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "billing"}}}
MISTAKES: dict[str, tuple[Mistake, str]] = {
    "a selector that misses its own pods": (
        _set("spec", "selector", "matchLabels", "app.kubernetes.io/name", to="biling", of=_object("Deployment", "billing")),
        "Deployment billing: its selector",
    ),
    "a Service that selects nothing": (
        _set("spec", "selector", "app.kubernetes.io/name", to="job-api", of=_object("Service", "jobs")),
        "Service jobs: its selector means no pod",
    ),
    "a Service that leads to no port": (
        _set("spec", "ports", 0, "targetPort", to="grcp", of=_object("Service", "webhooks")),
        "Service webhooks: webhooks-api has no port grcp",
    ),
    "a budget of nothing": (
        _set("spec", "selector", "matchLabels", "app.kubernetes.io/name", to="worker", of=_object("PodDisruptionBudget", "jobs-worker")),
        "PodDisruptionBudget jobs-worker: its selector means no pod",
    ),
    "a probe of another port": (
        _set("readinessProbe", "grpc", "port", to=7302, of=_process("billing")),
        "billing: readinessProbe asks port 7302",
    ),
    "a scaler without a target": (
        _set("spec", "scaleTargetRef", "name", to="jobs-workers", of=_object("ScaledObject", "jobs-worker")),
        "ScaledObject jobs-worker: there is no Deployment jobs-workers",
    ),
    "metrics that nobody reads": (
        _set("spec", "podMetricsEndpoints", 0, "port", to="metric", of=_object("PodMonitor", "reelgate")),
        "PodMonitor reelgate: it does not read",
    ),
    "a setting that does not exist": (
        _set("data", "JOBS_WEBHOOK_TARGET", to="webhooks:7101", of=_settings("jobs")),
        "jobs-worker: JOBS_WEBHOOK_TARGET: unknown setting",
    ),
    "a setting that is missing": (
        _unset("data", "JOBS_BILLING_TARGET", of=_settings("jobs")),
        "jobs-api: JOBS_BILLING_TARGET: required",
    ),
    "a setting out of range": (
        _set("data", "BILLING_CONNECTIONS_MAX", to="2000", of=_settings("billing")),
        "billing: BILLING_CONNECTIONS_MAX:",
    ),
    "a key that the Secret lacks": (
        _set("data", "WEBHOOKS_SECRET_KEY_FILE", to="/run/reelgate/secrets/secretkey", of=_settings("webhooks")),
        "the Secret webhooks has no key secretkey",
    ),
    "a file where nothing is mounted": (
        _set("data", "BILLING_DATABASE_URL_FILE", to="/run/secrets/database-url", of=_settings("billing")),
        "billing: BILLING_DATABASE_URL_FILE is /run/secrets/database-url, where nothing is mounted",
    ),
    "a catalogue that the ConfigMap does not have": (
        _set("data", to={"other.yaml": ""}, of=_settings("catalogue")),
        "jobs-worker: JOBS_CATALOGUE_FILE is /run/reelgate/catalogue/catalogue.yaml, where nothing is mounted",
    ),
    "another service's Secret": (
        _set("volumes", to=[{"name": "secrets", "secret": {"secretName": "simulator"}}], of=_pod("webhooks-dispatcher")),
        "the Secret simulator has no key",
    ),
    "a target at a port of another Service": (
        _set("data", "JOBS_WEBHOOKS_TARGET", to="webhooks:7102", of=_settings("jobs")),
        "JOBS_WEBHOOKS_TARGET names port 7102",
    ),
    "a target that is no Service": (
        _set("data", "EDGE_JOBS_TARGETS", to="jobs-api:7001", of=_settings("edge")),
        "EDGE_JOBS_TARGETS names jobs-api, which is no Service",
    ),
    "a port where nothing listens": (
        _set("data", "BILLING_INTERNAL_ADDRESS", to="127.0.0.1:7101", of=_settings("billing")),
        "billing: it declares port 7101",
    ),
    "an identity that nobody admits": (
        _set("spec", "uris", to=["spiffe://reelgate/ns/reelgate/sa/jobs"], of=_object("Certificate", "jobs")),
        "Certificate of jobs-tls: its URI must be spiffe://reelgate/jobs",
    ),
    "a certificate for another name": (
        _set("spec", "dnsNames", to=["billing.other.svc"], of=_object("Certificate", "billing")),
        "Certificate of billing-tls: add billing to dnsNames",
    ),
    "root": (_set("securityContext", "runAsUser", to=0, of=_pod("edge")), "edge: set securityContext.runAsNonRoot"),
    "a root file system that can be written": (
        _set("securityContext", "readOnlyRootFilesystem", to=False, of=_process("jobs-worker")),
        "jobs-worker, container process: set readOnlyRootFilesystem",
    ),
    "a capability": (
        _set("securityContext", "capabilities", to={"drop": ["ALL"], "add": ["NET_ADMIN"]}, of=_process("edge")),
        "edge, container process: drop all capabilities",
    ),
    "a folder of the node": (
        _more("volumes", what={"name": "host", "hostPath": {"path": "/"}}, of=_pod("billing")),
        "billing: the volume host is a folder of the node",
    ),
    "a request above its limit": (
        _set("resources", "requests", "memory", to="1Gi", of=_process("billing")),
        "billing, container process: it requests 1Gi of memory",
    ),
    "no limit of memory": (
        _unset("resources", "limits", "memory", of=_process("webhooks-api")),
        "webhooks-api, container process: set resources",
    ),
    "latest": (
        _set("image", to="registry.example.com/reelgate:latest", of=_process("jobs-api")),
        "jobs-api: the image registry.example.com/reelgate:latest needs a version",
    ),
    "two versions": (
        _set("image", to="registry.example.com/reelgate:0.0.9", of=_process("jobs-api")),
        "images of several versions: 0.0.9",
    ),
    "a mount without a volume": (
        _set("volumeMounts", 0, "name", to="postgres-ca", of=_process("billing")),
        "it mounts postgres-ca, which is no volume",
    ),
    "a token of the cluster": (
        _unset("automountServiceAccountToken", of=_pod("edge")),
        "edge: set automountServiceAccountToken",
    ),
    "the addresses of Services among the settings": (
        _set("enableServiceLinks", to=True, of=_pod("jobs-api")),
        "jobs-api: set enableServiceLinks",
    ),
    "a probe that is missing": (_unset("startupProbe", of=_process("billing")), "billing: add a startupProbe"),
    "a restart whenever the database is away": (
        _set("livenessProbe", "grpc", to={"port": 7301}, of=_process("billing")),
        "billing: livenessProbe asks what readinessProbe asks",
    ),
    "too little time to drain": (
        _set("terminationGracePeriodSeconds", to=30, of=_pod("jobs-api")),
        "jobs-api: terminationGracePeriodSeconds is 30",
    ),
    "an edge that stops at once": (_unset("lifecycle", of=_process("edge")), "edge: add a preStop hook"),
    "a budget that lets all go": (
        _set("spec", "maxUnavailable", to=2, of=_object("PodDisruptionBudget", "billing")),
        "PodDisruptionBudget billing: maxUnavailable",
    ),
    "a budget that stops drains of nodes": (
        _unset("spec", "unhealthyPodEvictionPolicy", of=_object("PodDisruptionBudget", "edge")),
        "PodDisruptionBudget edge: set unhealthyPodEvictionPolicy",
    ),
    "a rollout that stops first": (
        _set("spec", "strategy", "rollingUpdate", "maxUnavailable", to=1, of=_object("Deployment", "billing")),
        "billing: set strategy.rollingUpdate",
    ),
    "a rollout that callers do not keep up with": (
        _unset("spec", "minReadySeconds", of=_object("Deployment", "jobs-api")),
        "jobs-api: set minReadySeconds",
    ),
    "no wait for the schema": (
        _unset("initContainers", of=_pod("webhooks-dispatcher")),
        "webhooks-dispatcher: add an init container",
    ),
    "a migration of another version": (
        _set("metadata", "name", to="jobs-migrate-0-0-9", of=_object("Job", "jobs-migrate-0-1-0")),
        "Job jobs-migrate-0-0-9: name it by the version",
    ),
    "no migration": (lambda planted: planted.without("Job", "billing-migrate-0-1-0"), "billing: it needs one Job"),
    "a way in that is missing": (
        lambda planted: planted.without("NetworkPolicy", "billing"),
        "billing does not let jobs-api in at port 7101",
    ),
    "a way out that is missing": (
        _unset("spec", "egress", 0, of=_object("NetworkPolicy", "jobs-worker")),
        "jobs-worker is not let out to billing at port 7101",
    ),
    "a way in that is too wide": (
        _unset("spec", "ingress", 1, "from", of=_object("NetworkPolicy", "billing")),
        "it allows anyone to call billing at port 7101",
    ),
    "a way out that nothing needs": (
        _more("spec", "egress", what={"to": [BILLING], "ports": [{"port": 7201}]}, of=_object("NetworkPolicy", "edge")),
        "it allows edge to call billing at port 7201",
    ),
    "a way to the cloud's metadata": (
        _set("spec", "egress", 1, "to", 0, "ipBlock", "except", to=["10.0.0.0/8"], of=_object("NetworkPolicy", "webhooks-dispatcher")),
        "it lets pods out to 169.254.0.0/16",
    ),
    "nothing that denies": (
        lambda planted: planted.without("NetworkPolicy", "deny-all"),
        "NetworkPolicy: none denies everything",
    ),
    "no names": (lambda planted: planted.without("NetworkPolicy", "dns"), "is not let out to the DNS"),
}  # fmt: skip


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_found_in_the_overlays(overlay: str) -> None:
    assert list(findings(objects_of(FOLDER / "overlays" / overlay))) == []


@pytest.mark.parametrize(("mistake", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_planted_mistake_is_found(mistake: Mistake, said: str) -> None:
    planted = Planted()
    mistake(planted)

    found = list(findings(planted.objects))

    assert any(said in finding for finding in found), found

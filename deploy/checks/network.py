"""Rules on network policies: they deny everything, and allow the calls that the processes make and no other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.checks.calls import ANYONE, DNS, INTERNET, POSTGRES_OPERATOR, PROMETHEUS, Call, calls
from deploy.checks.objects import Found, Objects, labels_of_pods, meets, named, port_number

_OUTSIDE = {"monitoring": PROMETHEUS, "cnpg-system": POSTGRES_OPERATOR, "kube-system": DNS}
"""Namespaces that policies name, and who there is meant."""


def everything_else_is_denied(objects: Objects) -> Iterator[str]:
    """A policy without an exception selects every pod, in both directions."""
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if nothing in [policy["spec"] for policy in named(objects, "NetworkPolicy").values()]:
        return
    yield "NetworkPolicy: none denies everything; add one whose spec is only podSelector {} and policyTypes [Ingress, Egress]"


def policies_are_the_calls_of_the_code(objects: Objects) -> Iterator[str]:
    """What both ends allow is what deploy/checks/calls.py lists, and neither end allows more."""
    wanted = calls(objects)
    leaving = set(_allowed(objects, "egress"))
    arriving = set(_allowed(objects, "ingress"))
    for caller, called, port in sorted(wanted):
        if called in _inside(objects) and (caller, called, port) not in arriving:
            yield f"NetworkPolicy: {called} does not let {caller} in at port {port}"
        if caller in _inside(objects) and (caller, called, port) not in leaving:
            yield f"NetworkPolicy: {caller} is not let out to {called} at port {port}"
    for caller, called, port in sorted((leaving | arriving) - wanted):
        if called != DNS:
            yield f"NetworkPolicy: it allows {caller} to call {called} at port {port}, which nothing in the code does"


def every_pod_looks_names_up(objects: Objects) -> Iterator[str]:
    """Every pod may ask the DNS, and only for names."""
    asking = {(caller, port) for caller, called, port in _allowed(objects, "egress") if called == DNS}
    for name in _inside(objects):
        if (name, 53) not in asking:
            yield f"NetworkPolicy: {name} is not let out to the DNS at port 53"
    for caller, port in sorted(asking):
        if port != 53:
            yield f"NetworkPolicy: it allows {caller} to call the DNS at port {port}"


@dataclass(frozen=True)
class _Pods:
    """A group of pods that are alike, by the name that calls.py uses."""

    name: str
    labels: Mapping[str, str]


def _groups(objects: Objects) -> list[_Pods]:
    groups = {}
    for workload, labels in labels_of_pods(objects).items():
        name = labels.get("app.kubernetes.io/component", workload)
        groups["migration" if name == "migration" else workload] = labels
    return [_Pods(name, labels) for name, labels in groups.items()]


def _inside(objects: Objects) -> set[str]:
    return {group.name for group in _groups(objects)}


def _allowed(objects: Objects, direction: str) -> Iterator[Call]:
    for policy in named(objects, "NetworkPolicy").values():
        for group in _groups(objects):
            if meets(group.labels, policy["spec"]["podSelector"]):
                for entry in policy["spec"].get(direction, ()):
                    yield from _calls_of(objects, group, entry, direction)


def _calls_of(objects: Objects, group: _Pods, entry: Found, direction: str) -> Iterator[Call]:
    peers = entry.get("to" if direction == "egress" else "from")
    others = [ANYONE] if peers is None else [name for peer in peers for name in _meant(objects, peer)]
    for other in others:
        caller, called = (group.name, other) if direction == "egress" else (other, group.name)
        for port in entry.get("ports", [{"port": 0}]):
            number = port_number(objects, called, port["port"])
            if number is not None:
                yield caller, called, number


def _meant(objects: Objects, peer: Mapping[str, Any]) -> Sequence[str]:
    if "ipBlock" in peer:
        return [INTERNET]
    if "namespaceSelector" in peer:
        namespace = (
            peer["namespaceSelector"]
            .get("matchLabels", {})
            .get("kubernetes.io/metadata.name", "every namespace")
        )
        return [_OUTSIDE.get(namespace, namespace)]
    return [group.name for group in _groups(objects) if meets(group.labels, peer["podSelector"])]


def the_internet_is_not_the_cluster(objects: Objects) -> Iterator[str]:
    """What calls addresses that others choose does not reach private ones."""
    for name, policy in named(objects, "NetworkPolicy").items():
        for entry in policy["spec"].get("egress", ()):
            for peer in entry.get("to", ()):
                block = peer.get("ipBlock", {})
                if block.get("cidr") == "0.0.0.0/0" and name != "postgres":
                    for private in _PRIVATE - set(block.get("except", ())):
                        yield f"NetworkPolicy {name}: it lets pods out to {private}; add it to `except`"


_PRIVATE = {"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}


RULES = (
    everything_else_is_denied,
    policies_are_the_calls_of_the_code,
    every_pod_looks_names_up,
    the_internet_is_not_the_cluster,
)

"""Who calls whom, at which port: what the processes need, and all that the network policies may allow."""

from collections.abc import Mapping, Sequence

from deploy.checks.objects import Found, settings_of

ANYONE = "anyone"
INTERNET = "internet"
DNS = "dns"
PROMETHEUS = "prometheus"
POSTGRES_OPERATOR = "cnpg-system"

PUBLIC, INTERNAL, ADMIN, METRICS = 7001, 7101, 7201, 7401
DATABASE, BACKUPS = 5432, 8000

Call = tuple[str, str, int]
"""Caller, called, port."""

_CALLED: Mapping[str, Sequence[tuple[str, int]]] = {
    ANYONE: [("edge", 8443), ("edge", 9443)],
    "edge": [("jobs-api", PUBLIC), ("billing", PUBLIC), ("webhooks-api", PUBLIC)],
    "jobs-api": [("billing", INTERNAL), ("postgres", DATABASE), ("simulator", 8090), (INTERNET, 443)],
    "jobs-worker": [
        ("billing", INTERNAL), ("webhooks-api", INTERNAL), ("postgres", DATABASE), ("simulator", 8090), (INTERNET, 443),
    ],
    "billing": [("postgres", DATABASE)],
    "webhooks-api": [("billing", INTERNAL), ("postgres", DATABASE)],
    "webhooks-dispatcher": [("postgres", DATABASE), (INTERNET, 80), (INTERNET, 443)],
    "simulator": [(INTERNET, 80), (INTERNET, 443)],
    "operator": [("jobs-api", ADMIN), ("billing", ADMIN), ("webhooks-api", ADMIN)],
    "migration": [("postgres", DATABASE)],
    "postgres": [
        ("postgres", DATABASE), ("postgres", BACKUPS), (POSTGRES_OPERATOR, 9090), (INTERNET, 443), (INTERNET, 6443),
    ],
    POSTGRES_OPERATOR: [("postgres", DATABASE), ("postgres", BACKUPS)],
}  # fmt: skip


def calls(objects: Sequence[Found]) -> set[Call]:
    """Returns every call between processes, and with what is outside, that an installation makes."""
    named = {(caller, called, port) for caller, ends in _CALLED.items() for called, port in ends}
    return named | _to_media(objects) | _of_mcp(objects) | _of_prometheus(objects)


def _to_media(objects: Sequence[Found]) -> set[Call]:
    """Returns the way to results, where the edge serves them instead of a bucket."""
    target = settings_of(objects, "edge").get("EDGE_MEDIA_TARGETS")
    if not target:
        return set()
    name, _, port = target.partition(":")
    return {("edge", name, int(port))}


def _of_mcp(objects: Sequence[Found]) -> set[Call]:
    """Returns what assistants' calls take, where MCP is served."""
    if "EDGE_MCP_TARGETS" not in settings_of(objects, "edge"):
        return set()
    return {("edge", "mcp", 8070), ("mcp", "jobs-api", PUBLIC), ("mcp", "billing", PUBLIC)}


def _of_prometheus(objects: Sequence[Found]) -> set[Call]:
    return {
        (PROMETHEUS, found["metadata"]["name"], port["containerPort"])
        for found in objects
        if found["kind"] == "Deployment"
        for port in found["spec"]["template"]["spec"]["containers"][0].get("ports", ())
        if port["name"] == "metrics"
    }

"""docs/operate.md names objects, keys, settings, files and commands that exist. Whoever follows it needs nothing else."""

import re
from typing import Any

import pytest
import typer

from deploy.checks.objects import (
    WORKLOADS,
    named,
    objects_of,
    pods,
    production,
    secret_keys,
    settings_of,
)
from deploy.k8s.render import FOLDER
from docs.reference import KINDS
from services.cli.app import app
from tests.unit.deploy import page

OBJECTS = production()
EVERYTHING = (*OBJECTS, *objects_of(FOLDER / "overlays" / "dev"), *objects_of(FOLDER / "restore"))
KIND = {
    "deploy": "Deployment", "deployment": "Deployment", "service": "Service", "secret": "Secret", "job": "Job",
    "scaledobject": "ScaledObject", "cluster.postgresql.cnpg.io": "Cluster",
}  # fmt: skip
MADE_BY_OTHERS = {"billing-tls", "jobs-tls", "webhooks-tls", "operator-tls", "edge-tls", "authority"}
"""Secrets that cert-manager makes."""


def _mentioned(words: list[str]) -> list[tuple[str, str]]:
    """Returns the objects that a kubectl command names: `kind/name`, and names after a bare kind."""
    found, kind = [], None
    for word in words:
        head, slash, name = word.partition("/")
        if slash and head in KIND and "/" not in name:
            found.append((KIND[head], name))
        elif word in KIND:
            kind = KIND[word]
        elif word == "--":
            break
        elif kind and re.fullmatch(r"[a-z][a-z-]*", word):
            found.append((kind, word))
        elif not word.startswith("--"):
            kind = None
    return found


def test_commands_name_objects_that_exist() -> None:
    mentioned = [each for words in page.commands("kubectl") for each in _mentioned(words)]
    there = {(found["kind"], found["metadata"]["name"]) for found in EVERYTHING}
    secrets = {("Secret", name) for name in {name for name, _ in secret_keys(OBJECTS)} | MADE_BY_OTHERS}

    assert len(mentioned) > 30
    assert [each for each in mentioned if each not in there | secrets] == []


def test_commands_name_files_that_exist() -> None:
    given = re.findall(r"(?:-f|-k|--file|bash) (\S+)", "\n".join(page.blocks("sh")))
    ours = [name.removeprefix("reelgate/") for name in given if "deploy/" in name]
    written = [span for span in page.spans() if span.startswith("deploy/")]

    assert len(ours) >= 4
    assert [name for name in (*ours, *written) if not (page.ROOT / name).exists()] == []


@pytest.mark.parametrize("words", page.commands("reelgate"), ids=" ".join)
def test_our_own_commands_are_understood(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    rest = words[words.index("--tls") + 2 :] if "--tls" in words else words
    while hasattr(command, "commands"):
        name, *rest = rest
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]

    options = {option for parameter in command.params for option in parameter.opts}
    assert [word for word in rest if word.startswith("--") and word not in options] == []


def test_images_are_built_from_stages_that_exist_under_the_names_that_pods_have() -> None:
    stages = re.findall(
        r"^FROM \S+ AS (\S+)$", (page.ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE
    )
    built = re.findall(r"\b(\w+):(reelgate[\w-]*) ", page.section("Try it in ten minutes").replace(";", " "))
    used = {
        container["image"].rpartition("/")[2].partition(":")[0]
        for pod in pods(OBJECTS).values()
        for container in pod["containers"]
    }

    assert {stage for stage, _ in built} <= set(stages)
    assert {image for _, image in built} == used


def test_settings_that_the_page_names_exist() -> None:
    text = page.TEXT
    written = set(re.findall(rf"\b((?:{'|'.join(KINDS)})[A-Z_]+)\b", text)) - {"JOBS_", "ARK_API_KEY"}
    known = {f"{prefix}{name.upper()}" for prefix, kind in KINDS.items() for name in kind.model_fields}

    assert len(written) > 5
    assert written - known == set()


def test_the_tables_name_every_workload_and_certificate() -> None:
    told = {name for row in page.rows("What runs") for name in page.names(row[0])}
    certificates = {page.names(row[0])[0]: page.names(row[1])[0] for row in page.rows("Certificates")}

    assert told == set(named(OBJECTS, "Deployment"))
    assert certificates == {
        name: found["spec"]["secretName"] for name, found in named(OBJECTS, "Certificate").items()
    }
    for row in page.rows("Certificates"):
        for identity in page.names(row[2]):
            certificate = named(OBJECTS, "Certificate")[page.names(row[0])[0]]
            assert certificate["spec"]["uris"] == [identity]


def test_what_others_reach_is_the_port_of_a_service() -> None:
    services = named(OBJECTS, "Service")
    told = {address for row in page.rows("What runs") for address in page.names(row[2])}
    ports = {f"{name}:{port['port']}" for name, found in services.items() for port in found["spec"]["ports"]}

    assert len(told) == 7
    assert told <= ports


def test_sizes_are_those_of_the_objects() -> None:
    scalers = named(OBJECTS, "HorizontalPodAutoscaler")
    queues = named(OBJECTS, "ScaledObject")
    specs = pods(OBJECTS, "Deployment", "StatefulSet")
    for row in page.rows("Sizes"):
        name = page.names(row[0])[0]
        resources = specs[name]["containers"][0]["resources"]
        requests, limits = resources["requests"], resources["limits"]
        assert row[2:4] == [requests["cpu"], f"{requests['memory']}, {limits['memory']}"], name
        bounds = "1"
        if name in scalers:
            bounds = "{minReplicas} to {maxReplicas}".format(**scalers[name]["spec"])
        elif name in queues:
            bounds = "{minReplicaCount} to {maxReplicaCount}".format(**queues[name]["spec"])
        assert row[1] == bounds, name
        assert row[4] == _connections(name), name


def _connections(workload: str) -> str:
    settings = settings_of(OBJECTS, workload)
    pools = [int(value) for name, value in settings.items() if name.endswith("_CONNECTIONS_MAX")]
    return str(pools[0] + 3) if pools else "none"


def test_postgres_has_a_connection_for_every_process_of_the_largest_scale() -> None:
    needed = 0
    for row in page.rows("Sizes"):
        replicas, connections = row[1].rpartition(" ")[2], row[4]
        if connections != "none":
            # One more of each while it is replaced.
            needed += (int(replicas) + 1) * int(connections)
    parameters = named(OBJECTS, "Cluster")["postgres"]["spec"]["postgresql"]["parameters"]

    assert 300 < needed < int(parameters["max_connections"]) - 20


def test_restored_postgres_accepts_as_many_connections() -> None:
    limits = {
        found["spec"]["postgresql"]["parameters"]["max_connections"]
        for found in EVERYTHING
        if found["kind"] == "Cluster"
    }

    assert len(limits) == 1


def test_every_key_of_a_secret_that_is_read_is_on_the_page() -> None:
    told = {
        (secret, key)
        for row in page.rows("Secrets")
        for secret in page.names(row[0])
        for key in page.names(row[1])
    }
    read = {(secret, key) for secret, key in secret_keys(OBJECTS) if secret not in MADE_BY_OTHERS}

    assert len(read) == 13
    assert read - told == set()


def test_every_role_of_postgres_has_a_secret_on_the_page() -> None:
    told = {secret for row in page.rows("Secrets") for secret in page.names(row[0])}
    roles = named(OBJECTS, "Cluster")["postgres"]["spec"]["managed"]["roles"]

    assert {role["passwordSecret"]["name"] for role in roles} <= told


def test_an_upgrade_leaves_out_nothing_but_the_edge() -> None:
    left_out = [
        found
        for found in OBJECTS
        if found["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "edge"
    ]

    assert "app.kubernetes.io/component!=edge" in page.section("Upgrade")
    assert [(found["kind"], found["metadata"]["name"]) for found in left_out] == [("Deployment", "edge")]


def test_commands_about_migrations_mean_every_job_and_no_other() -> None:
    selected = set(re.findall(r"job --selector (\S+)=(\S+)", page.TEXT))
    jobs = named(OBJECTS, "Job").values()

    assert len(selected) == 1
    assert "job --all" not in page.TEXT
    assert all(selected <= set(job["metadata"]["labels"].items()) for job in jobs)


def test_every_workload_of_the_page_is_waited_for() -> None:
    waited = set(re.findall(r"rollout status deployment/(\S+)", page.section("Upgrade")))

    assert waited == set(named(OBJECTS, "Deployment")) - {"operator"}
    assert set(pods(OBJECTS, *WORKLOADS)) >= waited
